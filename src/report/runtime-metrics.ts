// SPDX-License-Identifier: Apache-2.0
import type { BatchObservableCallback, Meter, Observable } from '@opentelemetry/api';
import type { DelayWindow } from '../delay/delay-window.js';
import * as semconv from '../semconv.js';
import { eventLoopUtilization } from '../system/clock.js';
import { toSeconds } from '../system/seconds.js';

const STATISTICS = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'] as const;
const DESCRIPTIONS = {
  min: 'minimum',
  max: 'maximum',
  mean: 'mean',
  stddev: 'standard deviation',
  p50: '50 percentile',
  p90: '90 percentile',
  p99: '99 percentile',
};
const ACTIVE = { [semconv.ATTR_NODEJS_EVENTLOOP_STATE]: 'active' };
const IDLE = { [semconv.ATTR_NODEJS_EVENTLOOP_STATE]: 'idle' };

/**
 * The `nodejs.eventloop.*` metrics of the OpenTelemetry conventions, from what this package measures.
 *
 * @returns a function that takes them off again.
 */
export function observeRuntimeMetrics(meter: Meter, window: DelayWindow): () => void {
  const delays = STATISTICS.map((name) =>
    meter.createObservableGauge(semconv.METRIC_NODEJS_EVENTLOOP_DELAY + name, {
      description: `Event loop ${DESCRIPTIONS[name]} delay.`,
      unit: 's',
    }),
  );
  const utilization = meter.createObservableGauge(semconv.METRIC_NODEJS_EVENTLOOP_UTILIZATION, {
    description: 'Event loop utilization.',
    unit: '1',
  });
  const time = meter.createObservableCounter(semconv.METRIC_NODEJS_EVENTLOOP_TIME, {
    description: 'Cumulative duration of time the event loop has been in each state.',
    unit: 's',
  });
  const observables: Observable[] = [...delays, utilization, time];
  const observe: BatchObservableCallback = (result) => {
    const statistics = window.read();
    for (const [i, name] of STATISTICS.entries()) result.observe(delays[i] as Observable, toSeconds(statistics[name]));
    result.observe(utilization, statistics.utilization);
    const { active, idle } = eventLoopUtilization();
    result.observe(time, toSeconds(active), ACTIVE);
    result.observe(time, toSeconds(idle), IDLE);
  };
  meter.addBatchObservableCallback(observe, observables);
  return () => meter.removeBatchObservableCallback(observe, observables);
}
