// SPDX-License-Identifier: Apache-2.0
import { type Context, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { expect, it, vi } from 'vitest';
import type { Iteration, SpanShare } from '../../src/model.js';
import { listenerFor } from '../support/listener.js';

/** Time goes by where a test says so, and the loop never turns. */
const clock = vi.hoisted(() => ({ time: 1_000 }));
vi.mock('../../src/system/clock.js', async (importOriginal) => ({
  ...(await importOriginal<object>()),
  now: () => clock.time,
  loopCount: () => 1,
  idleTime: () => 500,
}));
const { SliceRecorder } = await import('../../src/recorder/recorder.js');

const listener = listenerFor(() => {});

/** A recorder, and the blocks that it has found. */
function recording(seesReturns = true): { recorder: InstanceType<typeof SliceRecorder>; iterations: Iteration[] } {
  const iterations: Iteration[] = [];
  const onBusyIteration = (iteration: Iteration): void => {
    iterations.push(iteration);
  };
  return { recorder: new SliceRecorder(50, 20, { ...listener, onBusyIteration }, undefined, seesReturns), iterations };
}

/** Nothing more runs. @returns the tallies that `span` had in its blocks. */
function finish({ recorder, iterations }: ReturnType<typeof recording>, span: Span): readonly SpanShare[] {
  recorder.flush();
  recorder.stop();
  return iterations.flatMap(({ shares }) => shares.filter((tally) => tally.span === span));
}

function spend(millis: number): void {
  clock.time += millis;
}

/** The contexts of that many spans. */
function contexts(amount: number): Context[] {
  return Array.from({ length: amount }, () => trace.setSpan(ROOT_CONTEXT, {} as Span));
}

it('bears a look of the watchdog while it ties a tally to its span', () => {
  const recorder = new SliceRecorder(50, 20, listener, undefined);
  let looks = 0;
  // Asked in the midst of it, where V8 could serve an interrupt as well.
  const span = new Proxy({} as Span, {
    isExtensible(target) {
      looks++;
      if (looks === 1) recorder.witness(context, true);
      return Reflect.isExtensible(target);
    },
  });
  const context = trace.setSpan(ROOT_CONTEXT, span);
  recorder.start(undefined);
  for (const active of [context, ...contexts(2), context, ...contexts(2)]) recorder.enterContext(active);
  recorder.stop();
  expect(looks).toBe(1);
});

it('bears a look of the watchdog at a context that it is just about to know', () => {
  const found = recording();
  const { recorder } = found;
  const span = {} as Span;
  const context = trace.setSpan(ROOT_CONTEXT, span);
  let looks = 0;
  // The last moment before it does.
  recorder.followSpans(() => {
    looks++;
    if (looks === 1) recorder.witness(context, true);
  });
  recorder.start(undefined);
  for (let i = 0; i < 6; i++) {
    recorder.enterContext(context);
    spend(10);
    for (const other of contexts(3)) recorder.enterContext(other);
  }
  expect(finish(found, span).map(({ shareMicros }) => Math.floor(shareMicros / 10_000))).toEqual([6]);
});

it('bears a second one beside it', () => {
  const recorders = [recording().recorder, recording().recorder];
  for (const recorder of recorders) recorder.start(undefined);
  for (const context of contexts(10)) for (const recorder of recorders) recorder.enterContext(context);
  for (const recorder of recorders) recorder.stop();
});

it('adds up what runs under a span that has ended, whatever runs in between', () => {
  const found = recording();
  const { recorder } = found;
  const span = {} as Span;
  const context = trace.setSpan(ROOT_CONTEXT, span);
  recorder.start(undefined);
  recorder.enterContext(context);
  recorder.endSpan(span);
  for (let i = 1; i <= 6; i++) {
    for (const active of [context, ...contexts(i % 2), context]) recorder.enterContext(active);
    spend(10);
    for (const other of contexts(3)) recorder.enterContext(other);
  }
  expect(finish(found, span).map(({ shareMicros }) => Math.floor(shareMicros / 10_000))).toEqual([6]);
});

it('takes nothing from a callback by looks that are answered behind it, where no context is active', () => {
  const found = recording();
  const { recorder } = found;
  const span = {} as Span;
  recorder.start(undefined);
  recorder.enterCallback({}, trace.setSpan(ROOT_CONTEXT, span));
  spend(60);
  recorder.leaveCallback();
  recorder.witness(undefined, true);
  recorder.witness(undefined, true);
  expect(finish(found, span).map(({ totalMicros }) => Math.floor(totalMicros / 10_000))).toEqual([6]);
});

it.each([
  ['tick', 'enterTick'],
  ['promise job', 'enterReaction'],
] as const)('knows without being told when the last %s has returned', async (_kind, enter) => {
  const { recorder, iterations } = recording(false);
  const span = {} as Span;
  const context = trace.setSpan(ROOT_CONTEXT, span);
  setImmediate(() => {
    recorder.start(undefined);
    process.nextTick(() => {
      recorder.enterTick(context);
      spend(10);
      // Behind the mark of the first one.
      process.nextTick(() => {
        recorder[enter](context);
        spend(10);
      });
    });
  });
  await new Promise<void>((resolve) => {
    // In the same iteration; to the recorder it is native code.
    setImmediate(() => {
      spend(60);
      recorder.enterCallback({}, undefined);
      recorder.flush();
      recorder.stop();
      resolve();
    });
  });
  const shares = iterations.flatMap(({ shares }) =>
    shares.map((tally) => [tally.span === span ? 'span' : 'nobody', Math.floor(tally.totalMicros / 10_000)]),
  );
  expect(Object.fromEntries(shares)).toEqual({ span: 2, nobody: 6 });
});
