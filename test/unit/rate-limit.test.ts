// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { culpritOf, RateLimit } from '../../src/report/rate-limit.js';
import type { Block } from '../../src/types.js';

const MINUTE = 60_000;

describe('the limit', () => {
  it('lets through so many a minute in all, and says how many it has suppressed since', () => {
    let time = 1_000;
    const limit = new RateLimit(2, () => time);
    const pass = (culprit: string) => limit.pass(culprit)?.count;
    expect([pass('a'), pass('b'), pass('c'), pass('d')]).toEqual([0, 0, undefined, undefined]);
    time += 59_999;
    expect(pass('e')).toBeUndefined();
    time += 1;
    expect([pass('a'), pass('b'), pass('c')]).toEqual([3, 0, undefined]);
  });

  it('lets nothing through at 0, and one at 1', () => {
    expect(new RateLimit(0).pass('a')).toBeUndefined();
    const limit = new RateLimit(1, () => 0);
    expect([limit.pass('a'), limit.pass('a'), limit.pass('b')]).toEqual([
      { count: 0, culprits: [] },
      undefined,
      undefined,
    ]);
  });

  it('leaves as much to others as one takes', () => {
    const limit = new RateLimit(60, () => 0);
    const passed = (culprit: string) => Array.from({ length: 1_000 }, () => limit.pass(culprit)).filter(Boolean).length;
    expect(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(passed)).toEqual([30, 15, 8, 4, 2, 1, 0]);
  });

  it('says of whom, most first', () => {
    let time = 0;
    const limit = new RateLimit(2, () => time);
    for (const culprit of ['a', 'b', 'a', 'c', 'c', 'c']) limit.pass(culprit);
    time = MINUTE;
    expect(limit.pass('d')).toEqual({
      count: 4,
      culprits: [
        ['c', 3],
        ['a', 1],
      ],
    });
    expect(limit.pass('e')).toEqual({ count: 0, culprits: [] });
  });

  it('lets every rare one through beside a storm: one a minute beside fifty a second, for half an hour', () => {
    let time = 0;
    const limit = new RateLimit(60, () => time);
    let rare = 0;
    let storm = 0;
    let told = 0;
    const minutes = 30;
    for (; time < minutes * MINUTE; time += 20) {
      const stormy = limit.pass('GET /storm in spin');
      if (stormy) storm++;
      told += stormy?.count ?? 0;
      // Anywhere in its minute.
      if (time % MINUTE !== ((time / MINUTE) | 0) * 1_960) continue;
      const passed = limit.pass('GET /rare in parse');
      if (passed) rare++;
      told += passed?.count ?? 0;
    }
    expect(rare).toBe(minutes);
    expect(storm).toBe(minutes * 30);
    // The last minute's is told by the next block.
    time += MINUTE;
    told += limit.pass('last')?.count ?? 0;
    expect(storm + rare + told).toBe(minutes * 60 * 50 + minutes);
  });

  it('keeps no more culprits than a thousand', () => {
    let time = 0;
    const limit = new RateLimit(1_000_000, () => time);
    for (let i = 0; i < 5_000; i++) expect(limit.pass(`passes ${i}`)).toBeDefined();
    const none = new RateLimit(1, () => time);
    for (let i = 0; i < 5_000; i++) none.pass(`${i}`);
    time = MINUTE;
    const { count, culprits } = none.pass('last') as {
      count: number;
      culprits: readonly (readonly [string, number])[];
    };
    expect(count).toBe(4_999);
    expect(culprits.length).toBe(1_001);
    expect(culprits[0]).toEqual(['(others)', 3_999]);
  });
});

it('knows a culprit by its span and function', () => {
  const blamed = [{ span: undefined, name: 'GET /report', durationMillis: 1 }];
  expect(culpritOf({ blamed, location: undefined } as unknown as Block)).toBe('GET /report');
  const location = { frame: { functionName: 'buildReport' } };
  expect(culpritOf({ blamed, location } as unknown as Block)).toBe('GET /report in buildReport');
});
