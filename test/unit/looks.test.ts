// SPDX-License-Identifier: Apache-2.0
// What a look of the watchdog may say of the time around it, on a clock of the test's.
import { type Context, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Iteration } from '../../src/model.js';
import { SliceRecorder } from '../../src/recorder/recorder.js';
import { listenerFor } from '../support/listener.js';

const clock = vi.hoisted(() => ({ time: 0, idle: 0, count: 1 }));
vi.mock('../../src/system/clock.js', () => ({
  now: () => clock.time,
  idleTime: () => clock.idle,
  loopCount: () => clock.count,
}));

let a: ReturnType<typeof named>;
let b: ReturnType<typeof named>;
let iterations: Iteration[];
const listener = listenerFor((iteration) => iterations.push(iteration));

function named(name: string): { span: Span; ctx: Context } {
  const span = { name } as unknown as Span;
  return { span, ctx: trace.setSpan(ROOT_CONTEXT, span) };
}

function nameOf(span: Span | undefined): string {
  return span === undefined ? 'nobody' : (span as unknown as { name: string }).name;
}

/** Milliseconds of everybody in the only block. */
function shares(): Record<string, number> {
  expect(iterations).toHaveLength(1);
  const entries = iterations[0]?.shares.map(({ span, shareMicros }) => [nameOf(span), Math.round(shareMicros / 1000)]);
  return Object.fromEntries(entries as [string, number][]);
}

beforeEach(() => {
  Object.assign(clock, { time: 0, idle: 0, count: 1 });
  a = named('a');
  b = named('b');
  iterations = [];
});

describe('looks at a recorder that follows another span', () => {
  /** Under `a` from 0 to 100, as far as the hooks tell; `looks` are `[at, sees, was not held up]`. */
  function follow(...looks: [number, Context, boolean][]): Record<string, number> {
    const recorder = new SliceRecorder(50, 20, listener, undefined);
    recorder.start(undefined);
    recorder.enterCallback({}, a.ctx);
    for (const [at, seen, isPrompt] of looks) {
      clock.time = at;
      recorder.witness(seen, isPrompt);
    }
    clock.time = 100;
    recorder.flush();
    recorder.stop();
    return shares();
  }

  it('move the time from the first that saw another on, and half the gap before it', () => {
    expect(follow([20, a.ctx, true], [40, b.ctx, true], [60, b.ctx, true])).toEqual({ a: 30, b: 70 });
  });

  it('move the head of a slice by half at most', () => {
    expect(follow([60, b.ctx, true], [61, b.ctx, true])).toEqual({ a: 30, b: 70 });
  });

  it('move nothing of what a native call took that held them up', () => {
    expect(follow([90, b.ctx, false], [91, b.ctx, true])).toEqual({ a: 90, b: 10 });
  });

  it('move nothing where they do not agree', () => {
    expect(follow([20, b.ctx, true], [40, ROOT_CONTEXT, true], [60, b.ctx, true])).toEqual({ a: 100 });
  });
});

describe('looks at a recorder that was put on in the midst of a block', () => {
  /** Put on at 30 in an iteration that began at 0, in code of `a`; `looks` are `[at, sees, was not held up]`. */
  function follow(...looks: [number, Context, boolean][]): Record<string, number> {
    const recorder = new SliceRecorder(50, 20, listener, undefined);
    recorder.followContexts({ active: () => a.ctx, of: () => a.ctx });
    clock.time = 30;
    recorder.startLate(30, {});
    for (const [at, seen, isPrompt] of looks) {
      clock.time = at;
      recorder.witness(seen, isPrompt, true);
    }
    clock.time = 100;
    recorder.flush();
    recorder.stop();
    return shares();
  }

  it('take the head for that of whoever ran first', () => {
    expect(follow()).toEqual({ a: 100 });
    expect(iterations[0]?.head?.micros).toBe(30_000);
    expect(iterations[0]?.head?.share.span).toBe(a.span);
  });

  it('are believed at once, from half the gap before them on', () => {
    expect(follow([50, b.ctx, true])).toEqual({ a: 40, b: 60 });
  });

  it('see every change', () => {
    expect(follow([50, b.ctx, true], [60, b.ctx, true], [70, a.ctx, true])).toEqual({ a: 75, b: 25 });
  });

  it('move nothing of what a native call took that held them up', () => {
    expect(follow([90, b.ctx, false])).toEqual({ a: 100 });
  });

  it('move nothing where one of them saw no context, as between two ticks', () => {
    expect(follow([50, ROOT_CONTEXT, true], [60, a.ctx, true])).toEqual({ a: 100 });
  });

  it('move it to nobody where two in a row saw none', () => {
    expect(follow([50, ROOT_CONTEXT, true], [60, ROOT_CONTEXT, true])).toEqual({ a: 40, nobody: 60 });
  });

  it('take what was under way for over where the next tick begins', () => {
    const recorder = new SliceRecorder(50, 20, listener, undefined);
    // Between two ticks there is no context.
    recorder.followContexts({ active: () => undefined, of: () => undefined });
    clock.time = 10;
    recorder.startLate(10, {});
    for (const at of [20, 50]) {
      clock.time = at;
      recorder.enterTick(a.ctx);
      clock.time = at + 20;
      recorder.leaveCallback();
    }
    clock.time = 100;
    recorder.enterTick(b.ctx);
    recorder.leaveCallback();
    recorder.flush();
    recorder.stop();
    // What lies between two ticks is the next one's: no native code runs there.
    expect(shares()).toEqual({ nobody: 20, a: 50, b: 30 });
  });
});
