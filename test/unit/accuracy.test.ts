// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { judge } from '../../benchmarks/accuracy/verdict.mjs';

interface Reported {
  readonly blamed: readonly string[];
  readonly millis?: number;
  readonly isShared?: boolean;
  /** When it ended, in ms. */
  readonly endTime?: number;
}

/** A run in which `shares` ran one after the other from 1,000 ms on, and the package said `reported`. */
function run(kind: string, shares: Record<string, number>, reported: readonly Reported[], parents = {}, queued = 0) {
  const pieces: object[] = [];
  let start = 1_000;
  for (const [label, millis] of Object.entries(shares)) {
    pieces.push({ label, turn: 7, start, end: start + millis, queuedBefore: 0, queuedAfter: 0 });
    start += millis;
  }
  const marked = new Set(reported.flatMap(({ blamed }) => blamed));
  const names = new Set([...Object.keys(shares), ...Object.values<string>(parents), ...marked]);
  const appSpans = [...names].map((name) => ({
    name,
    spanId: name,
    parentSpanId: (parents as Record<string, string>)[name],
    attributes: marked.has(name) ? { 'eventloop.blocked': true } : {},
    links: [],
  }));
  const blockSpans = reported.map(({ blamed, millis = start - 1_000, isShared = false, endTime = start }, i) => ({
    name: 'event loop blocked',
    spanId: `block ${i}`,
    parentSpanId: blamed[0],
    startTime: endTime - millis,
    endTime,
    attributes: { 'eventloop.block.duration': millis / 1000, 'eventloop.block.shared': isShared },
    links: blamed.slice(1),
  }));
  const plans = [{ kind, from: 990, to: 2_000, queuedBefore: 0, queuedAfter: queued }];
  return judge({ pieces, plans, spans: [...appSpans, ...blockSpans], wallClockOffset: 0 });
}

describe('the verdict of bench:accuracy', () => {
  it('is right where the one that blocked is blamed, with what its duration is off by', () => {
    const { rows, accused } = run('timer', { 'timer #1': 80 }, [{ blamed: ['timer #1'], millis: 83 }]);
    expect(rows).toMatchObject([{ isRight: true, isFalse: false, isShared: false, wall: 80, durationMillis: 83 }]);
    expect(rows[0]?.errorMillis).toBeCloseTo(3);
    expect(accused).toEqual([]);
  });

  it('takes the time without a core off what a duration is too long by, and off nothing else', () => {
    const long = run('timer', { 'timer #1': 80 }, [{ blamed: ['timer #1'], millis: 83 }], {}, 2);
    expect(long.rows[0]?.errorMillis).toBeCloseTo(1);
    const short = run('timer', { 'timer #1': 80 }, [{ blamed: ['timer #1'], millis: 77 }], {}, 2);
    expect(short.rows[0]?.errorMillis).toBeCloseTo(3);
  });

  it('is wrong, and false, where another is blamed, alone or as well', () => {
    const shares = { 'timer #1': 80, other: 3 };
    expect(run('timer', shares, [{ blamed: ['other'] }]).rows).toMatchObject([{ isRight: false, isFalse: true }]);
    const both = run('timer', shares, [{ blamed: ['timer #1', 'other'] }]);
    expect(both.rows).toMatchObject([{ isRight: false, isFalse: true }]);
  });

  it('is wrong, but not false, where nobody is blamed, or the block was not found', () => {
    const nobody = run('timer', { 'timer #1': 80 }, [{ blamed: [] }]);
    expect(nobody.rows).toMatchObject([{ isRight: false, isFalse: false, blamed: ['(no span)'] }]);
    const nothing = run('timer', { 'timer #1': 80 }, []);
    expect(nothing.rows).toMatchObject([{ isRight: false, isFalse: false }]);
    expect(nothing.rows[0]?.durationMillis).toBeUndefined();
  });

  it('asks of a shared block that it is said to be shared, and for the largest share', () => {
    const shares = { 'shared #1': 20, 'shared #2': 40 };
    const right = run('shared', shares, [{ blamed: ['shared #2'], isShared: true }]);
    expect(right.rows).toMatchObject([{ isShared: true, isRight: true, isSingledOut: false }]);
    const singledOut = run('shared', shares, [{ blamed: ['shared #2'] }]);
    expect(singledOut.rows).toMatchObject([{ isRight: false, isSingledOut: true }]);
    const smaller = run('shared', shares, [{ blamed: ['shared #1'], isShared: true }]);
    expect(smaller.rows).toMatchObject([{ isRight: false, isFalse: true, isSingledOut: false, isApproximate: false }]);
  });

  it('asks for the nearest ancestor of those that reach the threshold together', () => {
    const parents = { 'family #2': 'family #1', 'family #3': 'family #1', 'family #1': 'above' };
    const shares = { 'family #2': 30, 'family #3': 35 };
    const { rows } = run('family', shares, [{ blamed: ['family #1'], isShared: true }], parents);
    expect(rows).toMatchObject([{ names: ['family #1'], isRight: true, isUnclear: false }]);
  });

  it('has no clear verdict where a span stayed just below the threshold, or two have as much', () => {
    expect(run('shared', { 'shared #1': 49, 'shared #2': 20 }, []).rows).toMatchObject([{ isUnclear: true }]);
    expect(run('shared', { 'shared #1': 40, 'shared #2': 39 }, []).rows).toMatchObject([{ isUnclear: true }]);
    expect(run('timer', { 'timer #1': 50 }, []).rows).toMatchObject([{ isUnclear: false }]);
    const parts = { 'shared #1': 40, 'shared #2': 20 };
    expect(run('shared', parts, []).rows).toMatchObject([{ isUnclear: false }]);
    expect(run('shared', parts, [], {}, 10).rows).toMatchObject([{ isUnclear: true }]);
  });

  it('holds against the package who is accused of a block that nobody planned', () => {
    const right = { blamed: ['timer #1'] };
    const further = { blamed: ['background'], millis: 60, endTime: 900 };
    expect(run('timer', { 'timer #1': 80 }, [right, further]).accused).toEqual(['background']);
  });
});
