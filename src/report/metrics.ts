// SPDX-License-Identifier: Apache-2.0
import type { Attributes, Counter, Histogram, Meter } from '@opentelemetry/api';
import * as semconv from '../semconv.js';
import { toSeconds } from '../system/seconds.js';
import type { Block } from '../types.js';

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

  /** @param attributes what the user wants to know of it, see `metricAttributes`. */
  recordBlock(block: Block, attributes: Attributes): void {
    const withCause = block.cause ? { ...attributes, [semconv.ATTR_BLOCK_CAUSE]: block.cause } : attributes;
    this._blockDuration.record(toSeconds(block.durationMillis), withCause);
    this._blockTime.add(toSeconds(block.durationMillis), attributes);
  }

  /** One wait for every 5 ms that pass: so the histogram is weighted by time. */
  recordDelay(waitMillis: number): void {
    this._delay.record(toSeconds(waitMillis));
  }
}
