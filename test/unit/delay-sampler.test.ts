// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { DelaySampler, MAX_WAITS_AT_ONCE, STEP_MILLIS } from '../../src/delay/delay.js';

function sampler() {
  const waits: number[] = [];
  return { waits, delay: new DelaySampler((wait) => waits.push(wait)) };
}

/** `busy` ms of every `period` ms, for `seconds`. */
function pattern(busy: number, period: number, seconds: number): number[] {
  const { waits, delay } = sampler();
  for (let i = 0; i < (seconds * 1000) / period; i++) {
    delay.addElapsed(period);
    delay.addBusy(busy);
    delay.flush();
    delay.flushIdle();
  }
  return waits.sort((a, b) => a - b);
}

const quantile = (sorted: number[], q: number): number => sorted[Math.ceil(q * sorted.length) - 1] as number;

/** What uniformly arriving events wait: `share` of them anything from 0 to `busy`. */
function expected(busy: number, period: number, q: number): number {
  const share = busy / period;
  return Math.max(0, ((q - (1 - share)) / share) * busy);
}

describe('the waits of one iteration', () => {
  it.each([1, 4.9, 5, 7, 20, 60, 300, 2_000])('of %d ms weigh as much as it lasted', (busy) => {
    const { waits, delay } = sampler();
    for (let i = 0; i < 1_000; i++) delay.addBusy(busy);
    for (let i = 0; i < 1_000; i++) delay.flush();
    expect(Math.abs(waits.length - (1_000 * busy) / STEP_MILLIS)).toBeLessThanOrEqual(2);
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    expect(mean).toBeGreaterThan(busy * 0.498);
    expect(mean).toBeLessThan(busy * 0.502);
    expect(waits.every((wait) => wait <= busy)).toBe(true);
  });

  it('hold one that is less than a step short of the whole', () => {
    const { waits, delay } = sampler();
    for (let busy = 10; busy < 500; busy += 0.7) {
      waits.length = 0;
      delay.addBusy(busy);
      delay.flush();
      expect(waits[0]).toBeGreaterThan(busy - STEP_MILLIS);
      expect(waits[0]).toBeLessThanOrEqual(busy);
    }
  });
});

describe('a pattern', () => {
  it.each([
    [20, 40],
    [300, 1_000],
    [2_000, 10_000],
    [50, 100],
    [20, 20],
    [10, 40],
    [7, 13],
  ])('of %d ms in every %d ms has the quantiles that a client sees', (busy, period) => {
    const waits = pattern(busy, period, 60);
    expect(waits.length).toBeCloseTo(60_000 / STEP_MILLIS, -1);
    for (const q of [0.5, 0.9, 0.95, 0.99]) {
      const truth = expected(busy, period, q);
      const off = Math.abs(quantile(waits, q) - truth);
      expect(off, `p${q * 100} of ${truth}`).toBeLessThan(Math.max(2, truth * 0.03));
    }
    expect(waits.at(-1)).toBeGreaterThan(busy - 1);
  });

  it('without any block is all zeros', () => {
    const { waits, delay } = sampler();
    for (let i = 0; i < 100; i++) {
      delay.addElapsed(20.3);
      delay.flush();
      delay.flushIdle();
    }
    expect(waits).toHaveLength(2_030 / STEP_MILLIS);
    expect(new Set(waits)).toEqual(new Set([0]));
  });

  it('whose iterations are told later than their time gets no zeros for them', () => {
    const { waits, delay } = sampler();
    delay.addBusy(300);
    delay.flush();
    delay.flushIdle();
    delay.addElapsed(320);
    delay.flush();
    delay.flushIdle();
    expect(waits).toHaveLength(320 / STEP_MILLIS);
    expect(waits.filter((wait) => wait === 0)).toHaveLength(20 / STEP_MILLIS);
  });
});

describe('a block of an hour', () => {
  it('is recorded a bounded number of waits at a time, and none is lost', () => {
    const { waits, delay } = sampler();
    const hour = 3_600_000;
    delay.addBusy(hour);
    delay.addBusy(100);
    delay.addElapsed(hour + 200);
    let calls = 0;
    for (let before = -1; waits.length > before; calls++) {
      before = waits.length;
      delay.flush();
      delay.flushIdle();
      expect(waits.length - before).toBeLessThanOrEqual(2 * MAX_WAITS_AT_ONCE);
    }
    expect(waits.length).toBe((hour + 200) / STEP_MILLIS);
    expect(calls).toBeLessThan(500);
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    expect(mean / (hour / 2)).toBeCloseTo(1, 3);
  });
});
