// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it, vi } from 'vitest';

const clock = vi.hoisted(() => ({ time: 0, active: 0, idle: 0 }));
vi.mock('../../src/system/clock.js', () => ({
  now: () => clock.time,
  eventLoopUtilization: () => ({ active: clock.active, idle: clock.idle, utilization: 0 }),
}));
const { DelayWindow } = await import('../../src/delay/delay-window.js');

/** `busy` ms of every `period` ms, for `seconds`. */
function run(window: InstanceType<typeof DelayWindow>, busy: number, period: number, seconds: number): void {
  for (let i = 0; i < (seconds * 1000) / period; i++) {
    clock.time += period;
    clock.active += busy;
    clock.idle += period - busy;
    if (busy > 0) window.addBusy(busy);
    window.tick();
  }
}

describe('the statistics of the last minute', () => {
  it.each([
    [20, 40],
    [300, 1_000],
    [2_000, 10_000],
    [7, 10],
  ])('of %d ms in every %d ms are those of uniformly arriving events', (busy, period) => {
    const window = new DelayWindow();
    run(window, busy, period, 50);
    const share = busy / period;
    const quantile = (q: number): number => Math.max(0, busy * (1 - (1 - q) / share));
    const { min, max, mean, stddev, p50, p90, p99, utilization } = window.read();
    const squares = (share * busy ** 2) / 3;
    expect(min).toBe(0);
    expect(max).toBe(busy);
    expect(mean).toBeCloseTo((share * busy) / 2, 6);
    expect(stddev).toBeCloseTo(Math.sqrt(squares - ((share * busy) / 2) ** 2), 6);
    for (const [value, q] of [
      [p50, 0.5],
      [p90, 0.9],
      [p99, 0.99],
    ] as const) {
      expect(Math.abs(value - quantile(q)), `p${q * 100}: ${value}`).toBeLessThanOrEqual(
        Math.max(0.5, quantile(q) * 0.05),
      );
    }
    expect(utilization).toBeCloseTo(share, 6);
  });

  it('are the same for every reader, and forget what is older', () => {
    const window = new DelayWindow();
    run(window, 300, 1_000, 30);
    expect(window.read()).toEqual(window.read());
    expect(window.read().max).toBe(300);
    run(window, 0, 20, 45);
    expect(window.read().max).toBe(300);
    run(window, 0, 20, 25);
    expect(window.read()).toMatchObject({ max: 0, mean: 0, p99: 0, utilization: 0 });
  });

  it('hold a block that is longer than the window', () => {
    const window = new DelayWindow();
    run(window, 0, 20, 10);
    run(window, 180_000, 180_000, 180);
    const { max, p50, p99, utilization } = window.read();
    expect(max).toBe(180_000);
    expect(p50 / 90_000).toBeCloseTo(1, 1);
    expect(p99 / 178_200).toBeCloseTo(1, 1);
    expect(utilization).toBeGreaterThan(0.9);
  });
});
