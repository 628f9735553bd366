// SPDX-License-Identifier: Apache-2.0
import type { Counter, Histogram, Meter } from '@opentelemetry/api';
import * as semconv from '../semconv.js';
import type { Block } from '../types.js';

/** Recording them must not become a block of its own: 10,000 take about 5 ms. */
const MAX_MISSED_BEATS = 10_000;

/** The metric instruments of one meter. Creating them again with the same meter yields the same streams. */
export class LoopMetrics {
  private readonly _delay: Histogram;
  private readonly _blockDuration: Histogram;
  private readonly _blockTime: Counter;

  constructor(meter: Meter) {
    const advice = { explicitBucketBoundaries: semconv.BUCKETS_SECONDS };
    this._delay = meter.createHistogram(semconv.METRIC_DELAY, {
      description: 'How long an event that arrives at a random moment waits before the event loop turns to it.',
      unit: 's',
      advice,
    });
    this._blockDuration = meter.createHistogram(semconv.METRIC_BLOCK_DURATION, {
      description: 'Busy time of the event loop iterations that reached the block threshold.',
      unit: 's',
      advice,
    });
    this._blockTime = meter.createCounter(semconv.METRIC_BLOCK_TIME, {
      description: 'Total time for which the event loop was blocked.',
      unit: 's',
    });
  }

  recordBlock(block: Block): void {
    this._blockDuration.record(block.durationMillis / 1000);
    this._blockTime.add(block.durationMillis / 1000);
  }

  /**
   * Beside the late beat itself, the beats that could not happen meanwhile are recorded with the time that each would
   * have waited, as HdrHistogram does against coordinated omission: without them the worst moments count least.
   */
  recordDelay(lateMillis: number, intervalMillis: number): void {
    this._delay.record(lateMillis / 1000);
    const missed = Math.min(Math.floor(lateMillis / intervalMillis), MAX_MISSED_BEATS);
    for (let i = 1; i <= missed; i++) this._delay.record((lateMillis - i * intervalMillis) / 1000);
  }
}
