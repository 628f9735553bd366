// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { explicitBucket, exponentialQuantile } from '../../benchmarks/truth/quantiles.mjs';
import { type FixtureMetric, runScenario, type ScenarioResult } from '../support/run-fixture.js';

interface HistogramValue {
  readonly count: number;
  readonly sum: number;
  readonly max: number;
}

const run = (name: string) => runScenario('delay.cjs', name);

/** For how long each iteration kept events waiting, in ms: at least what its piece took, at most what the loop was busy. */
function iterations(result: ScenarioResult): { least: number[]; most: number[] } {
  const least = result.output.blocks.map(({ millis }) => millis);
  // What ran beside the pieces is in the same iterations as they are, or in others.
  const most = result.output.blocks.map(({ millis }, i) => millis + result.busyAround(i) + result.withheldAround(i));
  return { least, most };
}

/** What events wait that arrive at any moment of `elapsed` ms: so many of them no longer than that. */
function quantile(busy: readonly number[], elapsed: number, q: number): number {
  let [low, high] = [0, Math.max(...busy)];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    const waitLonger = busy.reduce((sum, millis) => sum + Math.max(millis - middle, 0), 0) / elapsed;
    if (waitLonger > 1 - q) low = middle;
    else high = middle;
  }
  return high;
}

/** What they wait all in all, in seconds, with one event for each 5 ms. */
const sumOfWaits = (busy: readonly number[]): number => busy.reduce((sum, millis) => sum + millis ** 2, 0) / 10_000;

describe('eventloop.delay', () => {
  it.each(['300 ms each second', '20 ms every 40 ms'])(
    'is what events wait that arrive at any moment: %s',
    async (name) => {
      const result = await run(name);
      const { least, most } = iterations(result);
      const elapsed = result.output.elapsed as number;
      for (const q of [0.5, 0.9, 0.99, 1]) {
        const low = quantile(least, elapsed, q) / 1000;
        const high = quantile(most, elapsed, q) / 1000;
        // One event in 5 ms is all there is, and the first beats and the last are beside it.
        const slack = 0.006;
        const [from, to] = explicitBucket(result.output.explicit, q);
        expect(to, `bucket of ${q}`).toBeGreaterThanOrEqual(low - slack);
        expect(from, `bucket of ${q}`).toBeLessThanOrEqual(high + slack);
        const seen = exponentialQuantile(result.output.exponential, q);
        expect(seen, `at ${q}`).toBeGreaterThanOrEqual(low * 0.9 - slack);
        expect(seen, `at ${q}`).toBeLessThanOrEqual(high * 1.1 + slack);
      }
      expect(result.output.diagLines).toEqual([]);
    },
  );

  it('loses nothing between collections, and counts for each reader', async () => {
    const result = await run('two readers, and blocks around their collections');
    const deltas = (result.output.deltas as (HistogramValue | undefined)[]).map((one) => one ?? { count: 0, sum: 0 });
    const total = result.output.total as HistogramValue;
    // One for each 5 ms; a little ran before that is no delay, and the last beats may not be told yet.
    const count = (result.output.elapsed as number) / 5;
    expect(total.count).toBeLessThanOrEqual(count + 1);
    const { least, most } = iterations(result);
    expect(total.count).toBeGreaterThan(least.reduce((sum, millis) => sum + millis, 0) / 5);
    expect(deltas.reduce((sum, one) => sum + one.count, 0)).toBeLessThanOrEqual(total.count);
    expect(deltas.reduce((sum, one) => sum + one.count, 0)).toBeGreaterThan(total.count - 8);
    expect(deltas.reduce((sum, one) => sum + one.sum, 0)).toBeCloseTo(total.sum, 2);
    // Five blocks of 100 ms: 5 × 20 events that wait 50 ms each, on average.
    expect(total.sum).toBeGreaterThan(sumOfWaits(least) * 0.95);
    expect(total.sum).toBeLessThan(sumOfWaits(most) * 1.1 + result.busyAround(-1) ** 2 / 10_000 + 0.05);
    expect(total.max).toBeGreaterThan(Math.max(...least) / 1000 - 0.005);
    expect(total.max).toBeLessThan(Math.max(...most, result.busyAround(-1)) / 1000 + 0.005);
  });
});

describe('runtimeMetrics', () => {
  it('emits the nodejs.eventloop metrics of the conventions, to every reader alike', async () => {
    const result = await run('runtime metrics');
    const { output } = result;
    const { least } = iterations(result);
    for (const metrics of [output.first, output.second] as Record<string, FixtureMetric & { instrument: string }>[]) {
      const value = (name: string): number => metrics[`nodejs.eventloop.${name}`]?.points[0]?.value as number;
      for (const name of ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99']) {
        expect(metrics[`nodejs.eventloop.delay.${name}`]).toMatchObject({ unit: 's', instrument: 'OBSERVABLE_GAUGE' });
      }
      expect(metrics['nodejs.eventloop.utilization']).toMatchObject({ unit: '1', instrument: 'OBSERVABLE_GAUGE' });
      expect(metrics['nodejs.eventloop.time']).toMatchObject({ unit: 's', instrument: 'OBSERVABLE_COUNTER' });
      const states = metrics['nodejs.eventloop.time']?.points.map((point) => point.attributes);
      expect(states).toEqual([{ 'nodejs.eventloop.state': 'active' }, { 'nodejs.eventloop.state': 'idle' }]);
      expect(value('delay.min')).toBe(0);
      // What its quantiles are is in test/unit/delay-window.test.ts.
      expect(value('delay.max')).toBeGreaterThan(Math.max(...least) / 1000 - 0.001);
      expect(value('delay.p99')).toBeGreaterThan(0.09);
      expect(value('delay.p99')).toBeLessThanOrEqual(value('delay.max'));
      expect(value('delay.p50')).toBeLessThanOrEqual(value('delay.p90'));
      expect(value('delay.mean')).toBeGreaterThan(0.015);
      expect(value('delay.mean')).toBeLessThan(value('delay.max') / 2);
      expect(value('utilization')).toBeGreaterThan(0.3);
      expect(value('utilization')).toBeLessThan(1);
    }
    expect(output.disabled).not.toContain('nodejs.eventloop.utilization');
    expect(output.again).toContain('nodejs.eventloop.utilization');
    expect(output.diagLines).toEqual([]);
  });
});
