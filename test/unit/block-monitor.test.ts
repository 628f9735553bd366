// SPDX-License-Identifier: Apache-2.0
// An Iteration in, a Block out, on a clock of the test's: what is told of whom, when, and with which evidence.
import type { Span } from '@opentelemetry/api';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { DelayMeter } from '../../src/delay/delay.js';
import type { Iteration, OnSeen, OpenBlock, SpanShare, StackSample } from '../../src/model.js';
import type { StackSampler } from '../../src/monitor/block-monitor.js';
import type { EvidenceCollector } from '../../src/monitor/evidence.js';
import type { Block, StackFrame } from '../../src/types.js';

const clock = vi.hoisted(() => ({ time: 0 }));
vi.mock('../../src/system/clock.js', () => ({ now: () => clock.time, wallClockOffset: () => 0 }));
const { BlockMonitor } = await import('../../src/monitor/block-monitor.js');
const { Guard } = await import('../../src/system/guard.js');

/** All that was told, in order. */
let told: string[];
let blocks: Block[];
let complaints: string[];
let samples: StackSample[];
let isEvidenceComplete: boolean;
let answer: ((frames: readonly StackFrame[]) => void) | undefined;

const nameOf = (span: Span | undefined): string => (span as { name?: string } | undefined)?.name ?? 'nobody';

const listener = {
  onBlamed: (share: SpanShare, block: OpenBlock | undefined) =>
    told.push(`blamed ${nameOf(share.span)} for ${share.shareMicros / 1e3}${block ? '' : ' so far'}`),
  onSpanTime: (share: SpanShare, span: Span) => told.push(`${nameOf(span)} ran for ${share.totalMicros / 1e3}`),
  onStalled: (span: Span, { count, sumMicros }: { count: number; sumMicros: number }, waited: readonly OpenBlock[]) =>
    told.push(`${nameOf(span)} waited ${count} times, ${sumMicros / 1e3}, for ${waited.map(describeBlamed).join()}`),
  onBlock: (open: OpenBlock) => {
    blocks.push(open.block);
    told.push(`block of ${open.block.durationMillis} by ${describeBlamed(open)}`);
  },
  onStartUp() {},
};

function describeBlamed({ block }: OpenBlock): string {
  return block.blamed.map(({ name }) => name).join(' and ');
}

const evidence = {
  beat() {},
  ofBlock: (_endedAt: number, durationMillis: number) => ({
    isComplete: () => isEvidenceComplete,
    get: () => ({
      durationMillis,
      cpuMillis: durationMillis,
      queuedMillis: 0,
      gcMillis: 0,
      bothLateMillis: 0,
      stolenMillis: 0,
    }),
  }),
};
const delay = { addBusy() {}, beat() {}, flush() {} };
const sampler = {
  beat() {},
  takeSamples: (loopCount: number) => samples.filter((sample) => sample.loopCount === loopCount),
  canResolve: () => answer !== undefined,
  resolve: (_frames: readonly StackFrame[], onResolved: (frames: readonly StackFrame[]) => void) => {
    answer = onResolved;
  },
  resolveNow: (frames: readonly StackFrame[]) => frames,
};

function monitor(
  ignoreBlock?: (block: Block) => boolean,
  stackSampler: StackSampler = sampler,
): InstanceType<typeof BlockMonitor> {
  const guard = new Guard({ warn: (message) => complaints.push(message) });
  const config = { attribution: 'exact' as const, blockThresholdMillis: 50, ...(ignoreBlock && { ignoreBlock }) };
  return new BlockMonitor(
    config,
    listener,
    delay as unknown as DelayMeter,
    evidence as unknown as EvidenceCollector,
    stackSampler,
    guard,
  );
}

let spans = 0;
/** A span that started at `startedAt`, in a trace of its own. */
function span(name: string, startedAt = 0): Span {
  const id = `${++spans}`.padStart(16, '0');
  return {
    name,
    startTime: [0, startedAt * 1e6],
    spanContext: () => ({ traceId: `${id}${id}`, spanId: id, traceFlags: 1 }),
    isRecording: () => true,
    setAttribute() {},
  } as unknown as Span;
}

function share(of: Span, millis: number): SpanShare {
  return {
    span: of,
    shareMicros: millis * 1e3,
    totalMicros: millis * 1e3,
    iteration: 1,
    blame: undefined,
    stall: undefined,
  };
}

/** From 0 to the sum of what ran. */
function iteration(shares: readonly SpanShare[], more: Partial<Iteration> = {}): Iteration {
  const busyMicros = shares.reduce((sum, { shareMicros }) => sum + shareMicros, 0);
  const endedAt = busyMicros / 1e3;
  return {
    loopCount: 7,
    endedAt,
    busyMicros,
    startMicros: 0,
    startTurn: 0,
    shares,
    callbacks: 1,
    isExact: true,
    ...more,
  };
}

function sample(functionName: string, from: number, until: number): StackSample {
  const frame = {
    functionName,
    text: functionName,
    filePath: '/app.js',
    lineNumber: 1,
    columnNumber: 1,
    functionKey: functionName,
  };
  return { loopCount: 7, callback: 1, stack: [frame], isCut: false, accuracy: 'during', isCertain: false, from, until };
}

beforeEach(() => {
  told = [];
  blocks = [];
  complaints = [];
  samples = [];
  isEvidenceComplete = true;
  answer = undefined;
  clock.time = 0;
});

describe('an iteration that was a block', () => {
  it('marks who is blamed at once, and is told of on the next beat, with its cause', () => {
    const one = monitor();
    one.onBusyIteration(iteration([share(span('A'), 70), share(span('B'), 10)]));
    expect(told).toEqual(['blamed A for 70']);
    expect(one.isSettled).toBe(false);
    one.onBeat(60, 20, 0);
    expect(told).toEqual(['blamed A for 70', 'block of 80 by A']);
    expect(blocks[0]).toMatchObject({ cause: 'cpu', cpuMillis: 80, shared: false });
    expect(one.isSettled).toBe(true);
  });

  it.each([
    [80, []],
    [81, ['block of 60 by A']],
  ])('waits for evidence that does not come: after %d ms it has told of %j', (millis, expected) => {
    isEvidenceComplete = false;
    const one = monitor();
    one.onBusyIteration(iteration([share(span('A'), 60)]));
    clock.time = millis;
    one.onBeat(0, 20, 0);
    expect(told.slice(1)).toEqual(expected);
  });

  it('does not wait where a span ends, or the process', () => {
    isEvidenceComplete = false;
    for (const end of ['span', 'process']) {
      told = [];
      const one = monitor();
      one.onBusyIteration(iteration([share(span('A'), 60)]));
      if (end === 'span') one.onSpanEnding(share(span('B'), 0), span('B'), undefined);
      else one.onExit();
      expect(told).toEqual(['blamed A for 60', 'block of 60 by A']);
    }
  });

  it('is located by the samples of its own iteration, in their sources once those are known', () => {
    answer = () => {};
    samples = [sample('build', 0, 30), sample('build', 30, 60), { ...sample('other', 0, 60), loopCount: 6 }];
    const one = monitor();
    one.onBusyIteration(iteration([share(span('A'), 60)]));
    one.onBeat(0, 20, 0);
    expect(blocks).toEqual([]);
    expect(one.isSettled).toBe(false);
    answer([{ ...(sample('build', 0, 0).stack[0] as StackFrame), filePath: '/app.ts' }]);
    expect(blocks[0]?.location?.frame).toMatchObject({ functionName: 'build', filePath: '/app.ts' });
    expect(one.isSettled).toBe(true);
  });

  it('is left out where it is ignored, with the mark of a span that ends inside it', () => {
    const one = monitor(({ durationMillis }) => durationMillis === 60);
    const a = span('A');
    one.onSpanEnding(share(a, 60), a, iteration([share(a, 60)]));
    one.onBusyIteration(iteration([share(a, 60)]));
    one.onSpanEnding(share(a, 70), a, iteration([share(a, 70)]));
    one.onExit();
    expect(told).toEqual(['A ran for 60', 'blamed A for 70 so far', 'A ran for 70']);
  });
});

describe('a block of which is known only behind it what was seen', () => {
  let asked: { from: number; until: number; onSeen: OnSeen }[];
  const profiled = {
    ...sampler,
    isProfiled: true,
    seenBetween: (from: number, until: number, onSeen: OnSeen) => asked.push({ from, until, onSeen }),
  };
  const noBody = (millis: number): SpanShare => ({ ...share(span(''), millis), span: undefined });
  beforeEach(() => {
    asked = [];
  });

  it('is told of once that is known, and where it was', () => {
    const one = monitor(undefined, profiled);
    one.onBusyIteration(iteration([share(span('A'), 80)]));
    one.onBeat(0, 20, 0);
    expect(asked).toMatchObject([{ from: 0, until: 80 }]);
    expect([told, one.isSettled]).toEqual([['blamed A for 80'], false]);
    asked[0]?.onSeen([sample('build', 0, 40), sample('build', 40, 80)], 0);
    expect(told.slice(1)).toEqual(['block of 80 by A']);
    expect(blocks[0]?.location?.frame.functionName).toBe('build');
    expect(one.isSettled).toBe(true);
  });

  it('is told of without, where that does not come in time, and only once', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'setImmediate'] });
    try {
      const one = monitor(undefined, profiled);
      one.onBusyIteration(iteration([share(span('A'), 80)]));
      one.onBeat(0, 20, 0);
      one.onExit();
      asked[0]?.onSeen([sample('build', 0, 80)], 0);
      expect(told.slice(1)).toEqual(['block of 80 by A']);
      expect(blocks[0]?.location).toBeUndefined();
    } finally {
      vi.useRealTimers();
    }
  });

  it.each([
    ['ours, and nobody ran', noBody(80), 40, 0],
    ['ours, but long enough without', noBody(80), 30, 1],
    ["not ours, and somebody's", share(span('A'), 80), 40, 1],
  ])('is left out where it was the watchdog that held up the thread: %s', (_, of, pausedMillis, count) => {
    const one = monitor(undefined, profiled);
    one.onBusyIteration(iteration([of]));
    one.onBeat(0, 20, 0);
    asked[0]?.onSeen([], pausedMillis);
    expect(blocks).toHaveLength(count);
  });
});

describe('a span that waited', () => {
  it('is told of with the part of the block that it waited for, when it ends', () => {
    const [a, b, waiter] = [span('A'), span('B'), span('waiter', -5)];
    const one = monitor();
    const waited = share(waiter, 1);
    // 60 ms of A, then the waiter ends in the midst of it, and B goes on for 90 ms.
    one.onBlockSoFar(iteration([share(a, 60)], { callbacks: 2 }));
    one.onRanBehind(waited, 60_000, 61_000, 0);
    one.onSpanEnding(waited, waiter, undefined);
    expect(told).toEqual(['waiter ran for 1', 'waiter waited 1 times, 60, for A']);
    one.onBusyIteration(iteration([share(a, 60), waited, share(b, 90)], { callbacks: 4 }));
    one.onBeat(0, 20, 0);
    expect(told.slice(2)).toEqual(['blamed A for 60', 'blamed B for 90', 'block of 60 by A', 'block of 91 by B']);
    // The next iteration is another block, whatever was told of this one.
    one.onBusyIteration(iteration([share(span('C'), 65)]));
    one.onBeat(0, 20, 0);
    expect(told.slice(6)).toEqual(['blamed C for 65', 'block of 65 by C']);
  });

  it('is told of on the next beat, where it goes on', () => {
    const one = monitor();
    one.onBusyIteration(iteration([share(span('A'), 60)]));
    one.onRanBehind(share(span('waiter', -5), 1), 60_000, 61_000, 1);
    expect(told).toHaveLength(1);
    one.onBeat(0, 20, 0);
    expect(told).toContain('waiter waited 1 times, 60, for A');
  });
});

it('throws nothing, whoever fails, says so once, and tells of the rest', () => {
  const one = monitor(() => {
    throw new Error('a hook of the application');
  });
  const foreign = {
    get spanContext(): never {
      throw new Error('a foreign span');
    },
    isRecording: () => true,
  } as unknown as Span;
  for (let i = 0; i < 2; i++) {
    one.onBusyIteration(iteration([share(span('A'), 60)]));
    one.onRanBehind(share(foreign, 1), 60_000, 61_000, 1);
    one.onExit();
  }
  expect(blocks).toHaveLength(2);
  expect(complaints).toEqual([
    'failed to run ignoreBlock; further failures of this kind are not reported',
    'failed to find stalled spans; further failures of this kind are not reported',
  ]);
});
