// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { hrTimeDuration, hrTimeToNanoseconds, millisToHrTime } from '@opentelemetry/core';
import { describe, expect, it } from 'vitest';
import { extentOf, isTraceOver } from '../../src/block/extent.js';
import { growTo, restOf } from '../../src/block/part.js';
import type { Block } from '../../src/types.js';

const THRESHOLD = 50;

function spanOf(name: string, times: { startTime?: unknown; endTime?: unknown } = {}): Span {
  return { name, spanContext: () => ({ traceId: 'a'.repeat(32), spanId: name, traceFlags: 1 }), ...times } as never;
}

const spans = new Map(['A', 'B', 'C', 'D', 'S'].map((name) => [name, spanOf(name)]));

/** `shares` is `name: millis`, largest first; `blamed` are names. The iteration began at 1,000. */
function block(shares: Record<string, number>, shared: boolean, blamed: readonly string[]): Block {
  const all = Object.entries(shares).map(([name, durationMillis]) => ({ span: spans.get(name), name, durationMillis }));
  const durationMillis = all.reduce((sum, share) => sum + share.durationMillis, 0);
  return {
    startTimeMillis: 1_000,
    endTimeMillis: 1_000 + durationMillis,
    durationMillis,
    thresholdMillis: THRESHOLD,
    shared,
    blamed: all.filter(({ name }) => blamed.includes(name)),
    shares: all,
  } as unknown as Block;
}

const named = (found: Block | undefined) => found?.blamed.map(({ name }) => name);

describe('growTo', () => {
  const ofA = block({ A: 70 }, false, ['A']);

  it('goes on with the same', () => {
    expect(named(growTo(ofA, block({ A: 170, C: 3 }, false, ['A'])))).toEqual(['A']);
  });

  it('puts who has the block span first, as long as another has about as much', () => {
    expect(named(growTo(ofA, block({ C: 87.5, A: 70 }, false, ['C', 'A'])))).toEqual(['A', 'C']);
    expect(growTo(ofA, block({ C: 87.6, A: 70, B: 20 }, false, ['C', 'A']))).toBeUndefined();
  });

  it('parts nothing where what came behind is no block', () => {
    const sofar = block({ A: 70, C: 45 }, false, ['A']);
    expect(named(growTo(sofar, block({ C: 94.9, A: 70 }, false, ['C', 'A'])))).toEqual(['A', 'C']);
    expect(growTo(sofar, block({ C: 95, A: 70 }, false, ['C', 'A']))).toBeUndefined();
  });

  it('names nobody who has less than another alone', () => {
    const shared = block({ S: 30, B: 25 }, true, ['S']);
    expect(named(growTo(shared, block({ B: 37, S: 30 }, true, ['B'])))).toEqual(['S']);
    expect(growTo(shared, block({ B: 38, S: 30 }, true, ['B']))).toBeUndefined();
    expect(growTo(shared, block({ B: 50, S: 30 }, false, ['B']))).toBeUndefined();
  });
});

describe('restOf', () => {
  it('is what came behind, with a verdict of its own', () => {
    const rest = restOf(block({ C: 400, A: 80, S: 5 }, false, ['C', 'A']), block({ A: 70, S: 5 }, false, ['A']));
    expect(rest).toMatchObject({ startTimeMillis: 1_075, endTimeMillis: 1_485, durationMillis: 410, shared: false });
    expect(rest.shares.map(({ name, durationMillis }) => [name, durationMillis])).toEqual([
      ['C', 400],
      ['A', 10],
    ]);
    expect(named(rest)).toEqual(['C']);
  });

  it('blames whoever reached the threshold in the iteration', () => {
    const before = block({ S: 30, D: 25 }, true, ['S']);
    const rest = restOf(block({ D: 60, S: 30 }, false, ['D']), before);
    expect(rest).toMatchObject({ durationMillis: 35, shared: false });
    expect(named(rest)).toEqual(['D']);
  });
});

describe('extentOf', () => {
  const hrTime = (millis: number) => [Math.floor(millis / 1e3), (millis % 1e3) * 1e6];
  const during = (startMillis: number, endMillis?: number): Block => ({
    ...block({ A: 100 }, false, ['A']),
    blamed: [
      {
        span: spanOf('A', {
          startTime: hrTime(startMillis),
          endTime: endMillis === undefined ? [0, 0] : hrTime(endMillis),
        }),
        name: 'A',
        durationMillis: 100,
      },
    ],
  });
  const extent = (of: Block, now = 2_000) => {
    const { startTimeMillis, endTimeMillis } = extentOf(of, now);
    return [startTimeMillis, endTimeMillis];
  };

  it('is the part of the block in the life of the span', () => {
    expect(extent(during(900, 1_300))).toEqual([1_000, 1_100]);
    expect(extent(during(1_020, 1_300))).toEqual([1_020.001, 1_100]);
    expect(extent(during(900, 1_060))).toEqual([1_000, 1_059.999]);
    expect(extent(during(1_020, 1_060))).toEqual([1_020.001, 1_059.999]);
  });

  it('is all of it where the two do not overlap', () => {
    expect(extent(during(900, 1_000))).toEqual([1_000, 1_100]);
    expect(extent(during(1_100, 1_300))).toEqual([1_000, 1_100]);
    expect(extent(block({ none: 100 }, false, ['none']))).toEqual([1_000, 1_100]);
  });

  it('ends no later than a span that may end this very moment', () => {
    expect(extent(during(900), 1_500)).toEqual([1_000, 1_100]);
    expect(extent(during(900), 1_100)).toEqual([1_000, 1_099]);
  });

  it('lies in the life of the span by nanoseconds, which a number of milliseconds has no room for', () => {
    const seconds = 1_795_690_002;
    const wrong: unknown[] = [];
    for (let nanos = 1; nanos < 1e6; nanos += 997) {
      const [startTime, endTime] = [[seconds, nanos] as [number, number], [seconds + 1, nanos] as [number, number]];
      const of = {
        ...block({ A: 1_500 }, false, ['A']),
        startTimeMillis: seconds * 1e3 - 300,
        endTimeMillis: seconds * 1e3 + 1_200,
        blamed: [{ span: spanOf('A', { startTime, endTime }), name: 'A', durationMillis: 1_000 }],
      };
      const { startTimeMillis, endTimeMillis } = extentOf(of, (seconds + 2) * 1e3);
      // As the SDK reads them.
      const [before, behind] = [
        hrTimeToNanoseconds(hrTimeDuration(startTime, millisToHrTime(startTimeMillis))),
        hrTimeToNanoseconds(hrTimeDuration(millisToHrTime(endTimeMillis), endTime)),
      ];
      if (before < 0 || before > 2_000 || behind < 0 || behind > 2_000) wrong.push({ nanos, before, behind });
    }
    expect(wrong).toEqual([]);
  });

  it('bears spans that tell nothing, or nonsense', () => {
    expect(extent({ ...during(0), blamed: [{ span: spanOf('A'), name: 'A', durationMillis: 100 }] })).toEqual([
      1_000, 1_100,
    ]);
    const odd = spanOf('A', { startTime: 'yesterday', endTime: [null, 1] });
    expect(extent({ ...during(0), blamed: [{ span: odd, name: 'A', durationMillis: 100 }] })).toEqual([1_000, 1_100]);
  });

  it('leaves a trace alone that was over for more than a minute', () => {
    const at = 3_600_000;
    const later = (endedBefore: number): Block => ({
      ...during(1, at - endedBefore),
      startTimeMillis: at,
      endTimeMillis: at + 100,
    });
    expect(isTraceOver(later(60_000))).toBe(false);
    expect(isTraceOver(later(60_001))).toBe(true);
    expect(isTraceOver(during(900))).toBe(false);
    expect(isTraceOver(block({ none: 100 }, false, ['none']))).toBe(false);
  });
});
