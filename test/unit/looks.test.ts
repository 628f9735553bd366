// SPDX-License-Identifier: Apache-2.0
// What a look of the watchdog may say of the time around it, on a clock of the test's.
import { type Context, context, createContextKey, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Sampler } from '../../src/following/sampler.js';
import type { Iteration } from '../../src/model.js';
import { SliceRecorder } from '../../src/recorder/recorder.js';

const clock = vi.hoisted(() => ({ time: 0, idle: 0, count: 1 }));
vi.mock('../../src/system/clock.js', () => ({
  now: () => clock.time,
  idleTime: () => clock.idle,
  loopCount: () => clock.count,
}));

const SUPPRESS_TRACING = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING');
const suppressed = (ctx: Context): Context => ctx.setValue(SUPPRESS_TRACING, true);

let active: Context;
let a: ReturnType<typeof named>;
let b: ReturnType<typeof named>;
context.setGlobalContextManager({
  active: () => active,
  with: (_context, fn, thisArg, ...args) => fn.apply(thisArg as never, args),
  bind: (_context, target) => target,
  enable() {
    return this;
  },
  disable() {
    return this;
  },
});

let iterations: Iteration[];
let ended: [name: string, millis: number][];
const listener = {
  onIteration() {},
  onBusyIteration: (iteration: Iteration) => iterations.push(iteration),
  onStartUp() {},
  onStarted() {},
  onBlockSoFar() {},
  onSpanEnding: ({ shareMicros }: { shareMicros: number }, span: Span) =>
    ended.push([nameOf(span), shareMicros / 1000]),
  onRanBehind() {},
  onCaughtUp() {},
  onWake() {},
};

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
  active = ROOT_CONTEXT;
  a = named('a');
  b = named('b');
  iterations = [];
  ended = [];
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

describe('looks of a sampler', () => {
  /** The beat after one at 0 comes at `endsAt`; `looks` are `[at, sees, asked at]`. */
  function sample(endsAt: number, ...looks: [at: number, seen: Context, askedAt?: number][]): Sampler {
    const sampler = new Sampler(50, 20, listener, false);
    sampler.beat(0);
    clock.count++;
    for (const [at, seen, askedAt = at] of looks) {
      clock.time = at;
      active = seen;
      sampler.look(askedAt);
    }
    clock.time = endsAt;
    sampler.beat(endsAt - 20);
    return sampler;
  }

  it('speak for the time between them where they agree', () => {
    sample(100, [30, a.ctx], [80, a.ctx], [92, a.ctx]);
    expect(shares()).toEqual({ a: 100 });
  });

  it('share the time between them where they do not', () => {
    sample(70, [30, a.ctx], [40, b.ctx], [50, b.ctx], [60, b.ctx]);
    expect(shares()).toEqual({ a: 35, b: 35 });
  });

  it('accuse nobody of what nobody has looked at', () => {
    // One of twelve spans of 12 ms, by a look that came 50 ms late.
    sample(144, [80, a.ctx]);
    expect(shares()).toEqual({ nobody: 104, a: 40 });
  });

  it('accuse nobody of what nobody has looked at between two of them', () => {
    sample(144, [30, a.ctx], [110, b.ctx]);
    expect(shares()).toEqual({ a: 40, nobody: 84, b: 20 });
  });

  it('say who made the native call that held them up', () => {
    sample(300, [290, a.ctx, 30]);
    expect(shares()).toEqual({ a: 300 });
  });

  it('leave out the time that the loop was idle before', () => {
    clock.idle = 0;
    const sampler = new Sampler(50, 20, listener, false);
    sampler.beat(0);
    clock.count++;
    Object.assign(clock, { time: 30, idle: 18 });
    active = a.ctx;
    sampler.look(30);
    clock.time = 40;
    sampler.look(40);
    clock.time = 120;
    sampler.look(120);
    sampler.beat(100);
    expect(shares()).toEqual({ a: 102 });
  });

  it('accuse no span of the export that happens to run in its context', () => {
    const inExport = suppressed(a.ctx);
    sample(100, [30, inExport], [40, inExport], [60, inExport], [90, inExport]);
    expect(shares()).toEqual({ nobody: 100 });
  });

  it('charge a span that ends inside its block until its end, and no other that was seen before', () => {
    const sampler = new Sampler(50, 20, listener, false);
    sampler.beat(0);
    clock.count++;
    for (const at of [30, 40]) {
      clock.time = at;
      active = a.ctx;
      sampler.look(at);
    }
    clock.time = 120;
    active = b.ctx;
    sampler.endSpan(a.span);
    active = a.ctx;
    expect(ended).toEqual([['a', 50]]);
  });
});
