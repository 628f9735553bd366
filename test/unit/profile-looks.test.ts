// SPDX-License-Identifier: Apache-2.0
// What the watchdog of a worker thread and the thread that has started that say to each other, without either.
import { EventEmitter } from 'node:events';
import { BroadcastChannel, Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StackSample } from '../../src/model.js';
import { Field, processClock, SharedMemory } from '../../src/system/shared-memory.js';
import { type Answer, type Ask, profileChannel } from '../../src/watchdog/messages.js';
import { askForProfiles, ThreadProfiler } from '../../src/watchdog/thread-profiler.js';
import { ProfileLooks } from '../../src/watchdog/worker/profile-looks.js';

/** No thread of this process has such a number. */
const THREAD = 1_000_007;
const CLOCK_PERIOD = 2 ** 32;

let channels: BroadcastChannel[] = [];
function open<T>(name: string): { readonly channel: BroadcastChannel; readonly heard: T[] } {
  const channel = new BroadcastChannel(name);
  const heard: T[] = [];
  channel.onmessage = (event: unknown) => heard.push((event as { data: T }).data);
  channels.push(channel);
  return { channel, heard };
}
afterEach(() => {
  for (const channel of channels) channel.close();
  channels = [];
});

/** `function hot()` of `/app.js`, for so long up to now. */
function profileOf(millis: number): string {
  const endTime = (processClock() * 1_000) % CLOCK_PERIOD;
  const callFrame = { functionName: 'hot', scriptId: '1', url: '/app.js', lineNumber: 4, columnNumber: 0 };
  const root = { ...callFrame, functionName: '(root)', url: '' };
  return JSON.stringify({
    nodes: [
      { id: 1, callFrame: root, children: [2] },
      { id: 2, callFrame, positionTicks: [{ line: 6, ticks: 2 }] },
    ],
    startTime: endTime - millis * 1_000,
    endTime,
    samples: [2, 2],
    timeDeltas: [(millis * 1_000) / 2, (millis * 1_000) / 2],
  });
}

describe('the watchdog of a worker thread', () => {
  let memory: SharedMemory;
  let blind: string[];
  let looks: ProfileLooks;
  let parent: ReturnType<typeof open<Ask>>;
  const answer = (message: Answer): void => parent.channel.postMessage(message);

  beforeEach(() => {
    memory = new SharedMemory();
    memory.fields[Field.BeatAt] = processClock();
    blind = [];
    parent = open(profileChannel(THREAD));
    looks = new ProfileLooks(THREAD, processClock(), memory, processClock, undefined, (reason) => blind.push(reason));
  });
  afterEach(() => looks.leaveForGood());

  it('asks to be ready, and looks once that is answered, until the loop turns', async () => {
    looks.look(() => {});
    await vi.waitFor(() => expect(parent.heard).toEqual([{ type: 'ready?' }]));
    answer({ type: 'ready' });
    await vi.waitFor(() => expect(looks.isLooking).toBe(false));

    const samples: unknown[] = [];
    const begunAt = processClock();
    looks.look((sample) => samples.push(sample));
    looks.look(() => {});
    memory.fields[Field.BeatAt] = processClock();
    await vi.waitFor(() => expect(parent.heard).toEqual([{ type: 'ready?' }, { type: 'begin' }, { type: 'end' }]));
    let seen: readonly StackSample[] | undefined;
    looks.seen(begunAt - 1_000, Number.POSITIVE_INFINITY, (found) => {
      seen = found;
    });
    expect(seen).toBeUndefined();
    answer({ type: 'profile', profile: profileOf(20) });
    await vi.waitFor(() => expect(seen).toHaveLength(2));
    expect(seen?.[0]?.stack.map(({ text }) => text)).toEqual(['hot (/app.js:6:1)']);
    const [first, second] = seen as [StackSample, StackSample];
    // The clocks are read one after the other.
    expect(second.until).toBeGreaterThan(begunAt);
    expect(second.until).toBeLessThanOrEqual(processClock());
    expect(second.until - second.from).toBeCloseTo(10, 2);
    expect(first.until).toBeCloseTo(second.from, 2);
    expect(samples).toHaveLength(2);
    expect(blind).toEqual([]);
  });

  it('reads a profile while the thread still blocks', async () => {
    answer({ type: 'ready' });
    await vi.waitFor(() => expect(looks.isLooking).toBe(false));
    looks.look(() => {});
    await vi.waitFor(() => expect(parent.heard).toEqual([{ type: 'ready?' }, { type: 'begin' }, { type: 'end' }]));
    answer({ type: 'profile', profile: undefined });
    await vi.waitFor(() => expect(looks.isLooking).toBe(false));
  });

  it('says who held up the thread as it got ready', async () => {
    const from = processClock() - 1_000;
    let pausedMillis = -1;
    looks.seen(from, processClock() + 1_000, (_, paused) => {
      pausedMillis = paused;
    });
    expect(pausedMillis).toBe(-1);
    answer({ type: 'ready' });
    await vi.waitFor(() => expect(pausedMillis).toBeGreaterThan(0));
    expect(pausedMillis).toBeLessThanOrEqual(processClock() - from - 1_000);
    looks.seen(from - 1_000, from, (_, paused) => {
      pausedMillis = paused;
    });
    expect(pausedMillis).toBe(0);
  });
});

it('says once that nobody looks', () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  try {
    const blind: string[] = [];
    const looks = new ProfileLooks(THREAD, 0, new SharedMemory(), processClock, undefined, (reason) =>
      blind.push(reason),
    );
    vi.advanceTimersByTime(4_999);
    expect([looks.isLooking, blind]).toEqual([true, []]);
    vi.advanceTimersByTime(100_000);
    expect([looks.isLooking, blind]).toEqual([
      false,
      [expect.stringMatching(/has to have an EventLoopInstrumentation/)],
    ]);
    looks.leaveForGood();
  } finally {
    vi.useRealTimers();
  }
});

describe('who has started a worker thread', () => {
  const original = Object.getOwnPropertyDescriptor(Worker.prototype, 'startCpuProfile');
  let profiler: ThreadProfiler;
  let thread: ReturnType<typeof open<Answer>>;
  let intervals: number[];
  let stopped: number[];
  const threads = new EventEmitter() as EventEmitter & { threadId: number; startCpuProfile: unknown };
  const keep = (): void => askForProfiles({ type: 'keep', threadId: THREAD });
  const ask = (type: Ask['type']): void => thread.channel.postMessage({ type } satisfies Ask);

  beforeEach(async () => {
    // What Node.js 26 says of such an interval.
    Worker.prototype.startCpuProfile = () => {
      throw new RangeError();
    };
    intervals = [];
    stopped = [];
    threads.threadId = THREAD;
    threads.startCpuProfile = async ({ sampleInterval }: { sampleInterval: number }) => {
      intervals.push(sampleInterval);
      return {
        stop: async () => {
          stopped.push(sampleInterval);
          return 'a profile';
        },
      };
    };
    thread = open(profileChannel(THREAD));
    profiler = new ThreadProfiler();
    profiler.start();
    const { channel } = await import('node:diagnostics_channel');
    channel('worker_threads').publish({ worker: threads });
  });
  afterEach(() => {
    profiler.stop();
    if (original) Object.defineProperty(Worker.prototype, 'startCpuProfile', original);
    else Reflect.deleteProperty(Worker.prototype, 'startCpuProfile');
  });

  it('keeps a profile there, and takes another for each look', async () => {
    keep();
    await vi.waitFor(() => expect(thread.heard).toEqual([{ type: 'ready' }]));
    ask('begin');
    ask('end');
    await vi.waitFor(() => expect(thread.heard[1]).toEqual({ type: 'profile', profile: 'a profile' }));
    expect([intervals, stopped]).toEqual([[2_000_000, 5], [5]]);
    // By a watchdog that is started anew.
    keep();
    ask('ready?');
    await vi.waitFor(() => expect(thread.heard[2]).toEqual({ type: 'ready' }));
    expect(intervals).toHaveLength(2);
  });

  it.each(['leave', 'stop'])('takes off what it has put on: %s', async (how) => {
    keep();
    await vi.waitFor(() => expect(thread.heard).toEqual([{ type: 'ready' }]));
    ask('begin');
    await vi.waitFor(() => expect(intervals).toHaveLength(2));
    if (how === 'leave') askForProfiles({ type: 'leave', threadId: THREAD });
    else profiler.stop();
    await vi.waitFor(() => expect(stopped.sort()).toEqual([2_000_000, 5]));
    const { channel } = await import('node:diagnostics_channel');
    profiler.stop();
    expect(channel('worker_threads').hasSubscribers).toBe(false);
  });

  it('does not answer of threads that are none of its own, or are over', async () => {
    threads.threadId = -1;
    keep();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([thread.heard, intervals]).toEqual([[], []]);
  });
});

declare module 'node:worker_threads' {
  interface Worker {
    startCpuProfile: unknown;
  }
}
