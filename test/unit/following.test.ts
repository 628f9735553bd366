// SPDX-License-Identifier: Apache-2.0
// The recorder and its hooks can be put on and taken off as often as is wanted, on a clock of the test's.
import { AsyncResource } from 'node:async_hooks';
import { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { context, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { listenerFor } from '../support/listener.js';

/** Time goes by, and the loop turns, where a test says so. */
const clock = vi.hoisted(() => ({ time: 1_000, count: 1 }));
vi.mock('../../src/system/clock.js', () => ({
  hasIterationClock: () => true,
  now: () => clock.time,
  loopCount: () => clock.count,
  idleTime: () => 500,
}));
const { Following } = await import('../../src/following/following.js');
const { SliceRecorder } = await import('../../src/recorder/recorder.js');

const CYCLES = 100;
let blocks: (readonly [span: string, millis: number])[];

const listener = listenerFor(({ shares }) => {
  for (const { span, shareMicros } of shares) blocks.push([(span as { name?: string })?.name ?? '', shareMicros / 1e3]);
});
const manager = new AsyncLocalStorageContextManager();

class FakeSpan {
  constructor(readonly name: string) {}
  spanContext() {
    return { traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: 1 };
  }
  end() {}
}

/** Blocks under a span of this name, half of it behind an await, and lets the loop turn. */
async function block(name: string): Promise<void> {
  await turn();
  clock.count++;
  await context.with(trace.setSpan(ROOT_CONTEXT, new FakeSpan(name) as unknown as Span), async () => {
    clock.time += 30;
    await undefined;
    clock.time += 30;
  });
  clock.count++;
  await turn();
}

beforeEach(() => {
  blocks = [];
  context.setGlobalContextManager(manager.enable());
});
afterEach(() => {
  context.disable();
});

it(`follows each block while it is on and none while it is off, ${CYCLES} times in a row`, async () => {
  const following = new Following(new SliceRecorder(50, 20, listener, undefined), () => {}, 50);
  for (let i = 0; i < CYCLES; i++) {
    following.start(undefined);
    await block(`on ${i}`);
    following.stop();
    await block(`off ${i}`);
  }
  expect(blocks).toEqual(Array.from({ length: CYCLES }, (_, i) => [`on ${i}`, 60]));
});

it('leaves nothing behind', async () => {
  const taps = () => [
    AsyncResource.prototype.runInAsyncScope,
    Socket.prototype.write,
    FakeSpan.prototype.end,
    Object.values(manager as unknown as Record<string, { run?: unknown; enterWith?: unknown }>).map(
      (storage) => [storage?.run, storage?.enterWith] as const,
    ),
  ];
  const before = taps();
  const following = new Following(new SliceRecorder(50, 20, listener, undefined), () => {}, 50);
  following.start(undefined);
  await block('on');
  expect(following.isOn).toBe(true);
  for (const [i, tap] of taps().entries()) expect(tap).not.toEqual(before[i]);
  following.stop();
  expect(following.isOn).toBe(false);
  expect(taps()).toEqual(before);
});
