// SPDX-License-Identifier: Apache-2.0

/** Every name that this package emits, once. Own names live under `eventloop.`; durations are seconds. */

// Attributes of the blamed span.
export const ATTR_BLOCKED = 'eventloop.blocked';
export const ATTR_BLOCK_COUNT = 'eventloop.block.count';
export const ATTR_BLOCK_DURATION = 'eventloop.block.duration';
export const ATTR_BLOCK_MAX_DURATION = 'eventloop.block.max_duration';

// Attributes of a stalled span.
export const ATTR_STALLED = 'eventloop.stalled';
export const ATTR_STALL_COUNT = 'eventloop.stall.count';
export const ATTR_STALL_DURATION = 'eventloop.stall.duration';
/** `true` where the wait was in the kernel, ahead of the span itself, and was that long at the most. */
export const ATTR_STALL_UPPER_BOUND = 'eventloop.stall.upper_bound';

// Attribute of every recording span that ran code.
export const ATTR_TIME = 'eventloop.time';

// The block span and the log event.
export const SPAN_BLOCK = 'event loop blocked';
export const EVENT_BLOCK = 'eventloop.block';
export const ATTR_BLOCK_SHARED = 'eventloop.block.shared';
/** True where the verdict rests on time at the head of the block that nobody followed; else left out. */
export const ATTR_BLOCK_APPROXIMATE = 'eventloop.block.approximate';
export const ATTR_BLOCK_THRESHOLD = 'eventloop.block.threshold';
export const ATTR_BLOCK_SPAN_NAMES = 'eventloop.block.span_names';
export const ATTR_BLOCK_SPAN_DURATIONS = 'eventloop.block.span_durations';
/** By stack samples: parallel arrays, most time first, at most 5. */
export const ATTR_BLOCK_FUNCTION_NAMES = 'eventloop.block.function_names';
export const ATTR_BLOCK_FUNCTION_DURATIONS = 'eventloop.block.function_durations';
/** Only where it was many that made the block together. */
export const ATTR_BLOCK_CALLBACK_COUNT = 'eventloop.block.callback_count';
export const ATTR_BLOCK_SUPPRESSED = 'eventloop.block.suppressed';
/** Of whom: parallel arrays, most first, at most 5. */
export const ATTR_BLOCK_SUPPRESSED_NAMES = 'eventloop.block.suppressed_names';
export const ATTR_BLOCK_SUPPRESSED_COUNTS = 'eventloop.block.suppressed_counts';
/** `internal`, `server`, `client`, `producer` or `consumer`; only of a blamed span that the sampler has left out. */
export const ATTR_BLOCK_SPAN_KIND = 'eventloop.block.span_kind';

// The request or message that the blamed span belongs to: on the block span, its log event, and hangs.
export const ATTR_ENTRY_NAME = 'eventloop.entry.name';
/** `server` or `consumer`. */
export const ATTR_ENTRY_KIND = 'eventloop.entry.kind';
/** As the conventions for HTTP have it; with `metricAttributes` on the metrics of blocks as well. */
export const ATTR_HTTP_ROUTE = 'http.route';

/** `cpu`, `wait`, `gc` or `host`; also on `eventloop.block.duration`. */
export const ATTR_BLOCK_CAUSE = 'eventloop.block.cause';
export const ATTR_BLOCK_CPU_TIME = 'eventloop.block.cpu_time';
export const ATTR_BLOCK_GC_TIME = 'eventloop.block.gc_time';
export const ATTR_BLOCK_STACK_ACCURACY = 'eventloop.block.stack_accuracy';

/** What the culprit was loading, where that is a module. */
export const ATTR_BLOCK_LOADED_MODULE = 'eventloop.block.loaded_module';

// The hang span and its log event; both also say `code.*`.
export const SPAN_HANG = 'event loop hang';
export const EVENT_HANG = 'eventloop.hang';
/** Seconds so far. */
export const ATTR_HANG_DURATION = 'eventloop.hang.duration';
/** `running` or `sleeping`: what the operating system says of the thread. */
export const ATTR_HANG_THREAD_STATE = 'eventloop.hang.thread_state';
/** Of a worker thread, the number that Node.js gives it. Copied from the OpenTelemetry conventions (development status). */
export const ATTR_THREAD_ID = 'thread.id';

// The log event of a start-up that took as long as a block; it also says `code.*`.
export const EVENT_START_UP = 'eventloop.start_up';
/** Seconds of the loop's time under no span. */
export const ATTR_START_UP_DURATION = 'eventloop.start_up.duration';

// Code locations, as the stable semantic conventions for source code name them.
export const ATTR_CODE_FUNCTION_NAME = 'code.function.name';
export const ATTR_CODE_FILE_PATH = 'code.file.path';
export const ATTR_CODE_LINE_NUMBER = 'code.line.number';
export const ATTR_CODE_COLUMN_NUMBER = 'code.column.number';
export const ATTR_CODE_STACKTRACE = 'code.stacktrace';

// Metrics.
export const METRIC_DELAY = 'eventloop.delay';
export const METRIC_BLOCK_DURATION = 'eventloop.block.duration';
export const METRIC_BLOCK_TIME = 'eventloop.block.time';

/** On what is counted together because there are too many values of `metricAttributes`. */
export const ATTR_METRIC_OVERFLOW = 'otel.metric.overflow';

// Metrics of the OpenTelemetry conventions (development status, hence copied), only with `runtimeMetrics`.
export const METRIC_NODEJS_EVENTLOOP_DELAY = 'nodejs.eventloop.delay.'; // min, max, mean, stddev, p50, p90, p99
export const METRIC_NODEJS_EVENTLOOP_UTILIZATION = 'nodejs.eventloop.utilization';
export const METRIC_NODEJS_EVENTLOOP_TIME = 'nodejs.eventloop.time';
export const ATTR_NODEJS_EVENTLOOP_STATE = 'nodejs.eventloop.state';

/** Advice for every histogram, in seconds; the usual alert limits are edges, so that an alert reads an exact count. */
export const BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10];

/** `node:diagnostics_channel` on which each block is published. */
export const CHANNEL_BLOCK = 'opentelemetry-instrumentation-event-loop:block';

/** The same for the start of the program. */
export const CHANNEL_START_UP = 'opentelemetry-instrumentation-event-loop:start-up';
