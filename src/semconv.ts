// SPDX-License-Identifier: Apache-2.0

/** Every name that this package emits, once. Own names live under `eventloop.`; durations are seconds. */

// Attributes of the blamed span.
export const ATTR_BLOCKED = 'eventloop.blocked';
export const ATTR_BLOCK_COUNT = 'eventloop.block.count';
export const ATTR_BLOCK_DURATION = 'eventloop.block.duration';
export const ATTR_BLOCK_MAX_DURATION = 'eventloop.block.max_duration';

// Attribute of every recording span that ran code.
export const ATTR_TIME = 'eventloop.time';

// The block span and the log event.
export const SPAN_BLOCK = 'event loop blocked';
export const EVENT_BLOCK = 'eventloop.block';
export const ATTR_BLOCK_SHARED = 'eventloop.block.shared';
export const ATTR_BLOCK_THRESHOLD = 'eventloop.block.threshold';
export const ATTR_BLOCK_SPAN_NAMES = 'eventloop.block.span_names';
export const ATTR_BLOCK_SPAN_DURATIONS = 'eventloop.block.span_durations';
export const ATTR_BLOCK_SUPPRESSED = 'eventloop.block.suppressed';

// Metrics.
export const METRIC_DELAY = 'eventloop.delay';
export const METRIC_BLOCK_DURATION = 'eventloop.block.duration';
export const METRIC_BLOCK_TIME = 'eventloop.block.time';

// Metrics of the OpenTelemetry conventions (development status, hence copied), only with `runtimeMetrics`.
export const METRIC_NODEJS_EVENTLOOP_DELAY = 'nodejs.eventloop.delay.'; // min, max, mean, stddev, p50, p90, p99
export const METRIC_NODEJS_EVENTLOOP_UTILIZATION = 'nodejs.eventloop.utilization';
export const METRIC_NODEJS_EVENTLOOP_TIME = 'nodejs.eventloop.time';
export const ATTR_NODEJS_EVENTLOOP_STATE = 'nodejs.eventloop.state';

/** Advice for every histogram, in seconds; the usual alert limits are edges, so that an alert reads an exact count. */
export const BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10];

/** `node:diagnostics_channel` on which each block is published. */
export const CHANNEL_BLOCK = 'opentelemetry-instrumentation-event-loop:block';
