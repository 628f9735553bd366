// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { bucketsAgree, explicitBucket, exponentialQuantile } from '../../benchmarks/truth/quantiles.mjs';
import { type FixtureMetric, runScenario } from '../support/run-fixture.js';

interface HistogramValue {
  readonly count: number;
  readonly sum: number;
  readonly max: number;
}

const run = (name: string) => runScenario('delay.cjs', name);

describe('eventloop.delay', () => {
  it.each(['300 ms each second', '20 ms every 40 ms'])('is what a client sees: %s', async (name) => {
    const result = await run(name);
    const waits = (result.output.waits as number[]).sort((a, b) => a - b);
    // What the machine takes away hits the client as well as the service, at other moments.
    const serviceNoise = Math.min(result.output.waitedOutsideBlocks, 20) / 1000;
    const clientNoise = Math.min(result.output.slipMillis as number, 20) / 1000 + 0.008;
    for (const q of [0.5, 0.9, 0.99, 1]) {
      // One ping alone is the maximum, and up to 8 ms lie between two.
      const noise = q >= 0.99 ? serviceNoise + clientNoise : serviceNoise;
      const seen = (waits[Math.ceil(q * waits.length) - 1] as number) / 1000;
      const [low, high] = explicitBucket(result.output.explicit, q);
      if (q < 1)
        expect(bucketsAgree(low - noise, high + noise, seen), `${low} to ${high} s, ${seen} s seen`).toBe(true);
      const off = Math.abs(exponentialQuantile(result.output.exponential, q) - seen);
      expect(off, `of ${seen} s at ${q}`).toBeLessThanOrEqual(Math.max(0.005, seen * 0.15) + noise);
    }
    expect(result.output.diagLines).toEqual([]);
  });

  it('loses nothing between collections, and counts for each reader', async () => {
    const result = await run('two readers, and blocks around their collections');
    const deltas = (result.output.deltas as (HistogramValue | undefined)[]).map((one) => one ?? { count: 0, sum: 0 });
    const total = result.output.total as HistogramValue;
    const elapsed = result.output.elapsed as number;
    // One for each 5 ms; a little ran before.
    expect(total.count).toBeGreaterThan(elapsed / 5 - 6);
    expect(total.count).toBeLessThan(elapsed / 5 + 60);
    expect(deltas.reduce((sum, one) => sum + one.count, 0)).toBeLessThanOrEqual(total.count);
    expect(deltas.reduce((sum, one) => sum + one.count, 0)).toBeGreaterThan(total.count - 8);
    expect(deltas.reduce((sum, one) => sum + one.sum, 0)).toBeCloseTo(total.sum, 2);
    // Five blocks of 100 ms: 5 × 20 events that wait 50 ms each, on average.
    expect(total.sum).toBeGreaterThan(4.6);
    expect(total.sum).toBeLessThan(6.5 + result.output.waitedOutsideBlocks / 100);
    expect(total.max).toBeGreaterThan(0.095);
  });
});

describe('runtimeMetrics', () => {
  it('emits the nodejs.eventloop metrics of the conventions, to every reader alike', async () => {
    const { output } = await run('runtime metrics');
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
      expect(value('delay.max')).toBeGreaterThan(0.099);
      expect(value('delay.max')).toBeLessThan(0.3);
      expect(value('delay.p50')).toBeLessThan(0.02);
      expect(value('delay.p99')).toBeGreaterThan(0.09);
      expect(value('delay.mean')).toBeGreaterThan(0.015);
      expect(value('delay.mean')).toBeLessThan(0.08);
      expect(value('utilization')).toBeGreaterThan(0.3);
      expect(value('utilization')).toBeLessThan(0.95);
    }
    expect(output.disabled).not.toContain('nodejs.eventloop.utilization');
    expect(output.again).toContain('nodejs.eventloop.utilization');
    expect(output.diagLines).toEqual([]);
  });
});
