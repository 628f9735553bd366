// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import type { InstrumentationConfig } from '@opentelemetry/instrumentation';

/** What one span, or code under no span, contributed to a block. */
export interface BlockShare {
  /** The span; undefined for code that ran under no span and for native code between callbacks. */
  readonly span: Span | undefined;
  /** The span's name; `(no span)` without one, `(not recording)` where the span does not tell its name. */
  readonly name: string;
  /** Its own synchronous time inside the block, in milliseconds. Time of child spans is not in it. */
  readonly durationMillis: number;
}

/** One iteration of the event loop whose busy time reached the block threshold. */
export interface Block {
  /** Milliseconds since the Unix epoch, with fractions. */
  readonly startTimeMillis: number;
  /** Milliseconds since the Unix epoch, with fractions. */
  readonly endTimeMillis: number;
  /** Busy time of the iteration in milliseconds: its wall time less the time it waited in poll. */
  readonly durationMillis: number;
  /** The threshold in force, in milliseconds. */
  readonly thresholdMillis: number;
  /** True where no span reached the threshold alone: many small slices made the block together. */
  readonly shared: boolean;
  /**
   * Who is blamed, largest share first; never empty. More than one where several reached the threshold in one
   * iteration. An entry without a span stands for code under no span and native code: the block is nobody's.
   */
  readonly blamed: readonly BlockShare[];
  /** Everything that ran in the block, largest share first. */
  readonly shares: readonly BlockShare[];
}

/** Options of {@link EventLoopInstrumentation}. All are JSON except the two hooks. */
export interface EventLoopInstrumentationConfig extends InstrumentationConfig {
  /**
   * An iteration of the loop that is busy for at least this long is a block. Milliseconds, 1 to 3,600,000.
   * Environment: `OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS`.
   * @default 50
   */
  blockThresholdMillis?: number;
  /**
   * How often the beat looks at the loop and records the delay. Milliseconds, 1 to 1,000. What is recorded does not
   * depend on it: one wait for each 5 ms that passed.
   * Environment: `OTEL_EVENT_LOOP_DELAY_INTERVAL_MILLIS`.
   * @default 20
   */
  delayIntervalMillis?: number;
  /**
   * At most this many block spans and log events a minute; metrics and the attributes of blamed spans go on.
   * 0 to 1,000,000. Environment: `OTEL_EVENT_LOOP_MAX_BLOCKS_PER_MINUTE`.
   * @default 60
   */
  maxBlocksPerMinute?: number;
  /**
   * Also emit the `nodejs.eventloop.*` metrics of the OpenTelemetry conventions, for those who do not run
   * instrumentation-runtime-node. Environment: `OTEL_EVENT_LOOP_RUNTIME_METRICS` (`true` or `false`).
   * @default false
   */
  runtimeMetrics?: boolean;
  /**
   * Called with each reported block and its block span, before that span ends: to add attributes of your own.
   * Must be synchronous; what it throws becomes one `diag` line.
   */
  blockHook?: (block: Block, span: Span) => void;
  /**
   * Return true to leave a block out of everything: no attribute, span, log event or metric.
   * Called synchronously and, for a span that ends inside its own block, already for the part of the block up to then:
   * keep it fast. What it throws becomes one `diag` line and the block is reported.
   */
  ignoreBlock?: (block: Block) => boolean;
}
