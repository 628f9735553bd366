// SPDX-License-Identifier: Apache-2.0
import type { Attributes, Span } from '@opentelemetry/api';
import type { InstrumentationConfig } from '@opentelemetry/instrumentation';

/** What one span, or code under no span, contributed to a block. */
export interface BlockShare {
  /** The span; undefined for code that ran under no span and for native code between callbacks. */
  readonly span: Span | undefined;
  /**
   * The span's name, also of one that the sampler has left out; of an entry span with the route, where that is known by
   * now. `(no span)` without a span, `(not recording)` where nobody knows.
   */
  readonly name: string;
  /** Its own synchronous time inside the block, in milliseconds. Time of child spans is not in it. */
  readonly durationMillis: number;
}

/** The request or message that a span belongs to: the SERVER or CONSUMER span by which it entered the process. */
export interface EntryOperation {
  readonly span: Span;
  /** The span's name, `GET /report`; with the route also where the span has only the method so far. */
  readonly name: string;
  readonly kind: 'server' | 'consumer';
  /** `http.route`; undefined where it is not known. */
  readonly route: string | undefined;
  /**
   * What the span says of the operation: `http.request.method`, `http.route`, `url.path`, `messaging.*` and `rpc.*`, as far
   * as known by now; of one that the sampler has left out, as it was started.
   */
  readonly attributes: Attributes;
}

/**
 * Why the loop was blocked: the thread computed (`cpu`), waited for something that is not the loop's (`wait`), collected
 * garbage (`gc`), or was given no core, or stopped as a whole (`host`).
 */
export type BlockCause = 'cpu' | 'wait' | 'gc' | 'host';

/** A frame of a call stack. */
export interface StackFrame {
  /** The frame as V8 prints it, without the leading `at`. */
  readonly text: string;
  /** `<anonymous>` where the function has no name. */
  readonly functionName: string;
  /** Absolute path, or what the module was loaded as: `node:fs`, an URL. Empty where there is none. */
  readonly filePath: string;
  /** From 1; 0 = unknown. */
  readonly lineNumber: number;
  /** From 1; 0 = unknown. */
  readonly columnNumber: number;
  /**
   * Set where the frame waited for a module to be loaded: the module, as the code has it (`typescript`), or its file; empty
   * where neither is known.
   */
  readonly loadedModule?: string;
  /** Where its function begins. From 1; 0 = unknown. */
  readonly startLine?: number;
  readonly startColumn?: number;
}

/** How long a function ran in a block, as far as stack samples can tell. */
export interface FunctionTime {
  /** The function, at the line where most of its time was seen. */
  readonly frame: StackFrame;
  /** With what it called, in milliseconds. */
  readonly durationMillis: number;
  /** By itself, in milliseconds: with what it called of Node.js and V8, without other functions. */
  readonly selfMillis: number;
}

/** Where in the code a block was seen. */
export interface CodeLocation {
  /**
   * The deepest function that most of the blocking time was spent in, with what it called; at the line where most of it
   * was seen. Neither Node.js's nor ours. Where several share the time, that of the largest part.
   */
  readonly frame: StackFrame;
  /** How much of the time that is, from 0 to 1: of what was seen of the block, by stack samples. */
  readonly share: number;
  /** The whole stack from that frame down. */
  readonly stack: readonly StackFrame[];
  /**
   * `during`: seen while it blocked. `after`: only seen when a native call had returned; then the function was on the
   * stack while it blocked, but the line may be a later one.
   */
  readonly accuracy: 'during' | 'after';
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
  /** What the first of `blamed` belongs to; undefined where it is no request or message, or which is not certain. */
  readonly entry?: EntryOperation | undefined;
  /** Where in the code most of it was seen; undefined where the watchdog did not see it, or nothing that is certain. */
  readonly location: CodeLocation | undefined;
  /** The function with most time by itself, where that is another than `location`'s and worth pointing at. */
  readonly hottest: FunctionTime | undefined;
  /**
   * What the time in `location`'s function divides into, most first, at most 5: the functions that it called, each with
   * what those called, and itself, then with `durationMillis` what it did on its own. Where several functions share the
   * block, those. Empty without stack samples.
   */
  readonly functions: readonly FunctionTime[];
  /**
   * How many callbacks ran, where it was many that made the block together and not one; else undefined, as in
   * `ignoreBlock`, and without stack samples, which tell the two apart.
   */
  readonly callbackCount: number | undefined;
  /**
   * Whether the verdict would be another if the time at the head of the block, which was over before anybody followed it and is
   * taken for that of whoever ran next, had been someone else's. Never with `attribution: 'exact'`.
   */
  readonly approximate: boolean;
  /** What took most of it; undefined where that is not certain, and in `ignoreBlock`, which is asked sooner. */
  readonly cause: BlockCause | undefined;
  /** Time of this thread on a core, in milliseconds; undefined where the platform does not tell, and in `ignoreBlock`. */
  readonly cpuMillis: number | undefined;
  /** Time of garbage collection, in milliseconds; undefined in `ignoreBlock`. */
  readonly gcMillis: number | undefined;
  /**
   * Time in which this thread was ready to run and had no core, or the process was stopped, in milliseconds: no fault of the
   * code. 0 where the platform does not tell; undefined in `ignoreBlock`.
   */
  readonly hostMillis: number | undefined;
  /**
   * Kind of callback that took most of it: the async resource as `async_hooks` knows it (`Timeout`,
   * `HTTPINCOMINGMESSAGE`), `promise job`, `process.nextTick` or `native code`. Only with `./debug`.
   */
  readonly asyncResource: string | undefined;
}

/** What the start of the program took of the event loop's time. */
export interface StartUpTime {
  /** Time under no span from the start of the instrumentation to the first callback of the program's, in milliseconds. */
  readonly durationMillis: number;
  /** Where in the code most of it was seen; undefined where less than half of it was seen anywhere. */
  readonly location: CodeLocation | undefined;
}

/**
 * What leaves the process of where code is: `absolute` paths, paths `relative` to the working directory (outside of it from
 * `node_modules` on, or the file's name alone), or `none`: names of functions, without files, lines and stacks.
 */
export type StackPaths = 'absolute' | 'relative' | 'none';

/** Options of {@link EventLoopInstrumentation}. All are JSON except the hooks, and `metricAttributes` as a function. */
export interface EventLoopInstrumentationConfig extends InstrumentationConfig {
  /**
   * `false`: off, also where NodeSDK would turn it on, until `enable()` is called.
   * Environment: `OTEL_EVENT_LOOP_ENABLED` (`true` or `false`).
   * @default true
   */
  enabled?: boolean;
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
   * At most this many block spans and log events a minute, and of one culprit (blamed span and function) no more than are
   * left for others: half of them. Metrics and the attributes of blamed spans go on.
   * 0 to 1,000,000. Environment: `OTEL_EVENT_LOOP_MAX_BLOCKS_PER_MINUTE`.
   * @default 60
   */
  maxBlocksPerMinute?: number;
  /**
   * Whether a worker thread watches the loop from outside: for the stack while it is blocked, and for a report when it
   * hangs. About 20 MB of memory and less than 1 % of a core. Environment: `OTEL_EVENT_LOOP_WATCHDOG`.
   * @default true
   */
  watchdog?: boolean;
  /**
   * Whether a worker thread of the application that loads the instrumentation gets a watchdog of its own, one more thread each:
   * for a report when it hangs, with the span that runs where `attribution` is `exact`, and to tell blocks that wait. It ends no
   * process (`hangAction`). On Node.js 26 it has stacks, where the thread that starts the worker thread has this option as well.
   * Environment: `OTEL_EVENT_LOOP_WORKER_WATCHDOGS`.
   * @default false
   */
  workerWatchdogs?: boolean;
  /**
   * A block that has gone on for so long is a hang, and the watchdog reports it while it lasts. Milliseconds, 0 to
   * 3,600,000; 0 = off. Environment: `OTEL_EVENT_LOOP_HANG_THRESHOLD_MILLIS`.
   * @default 2000
   */
  hangThresholdMillis?: number;
  /**
   * What follows a hang: `report` only, or `abort`: once the report has left, or could not within 5 seconds, the process
   * ends with SIGABRT, for its supervisor to start it anew. Environment: `OTEL_EVENT_LOOP_HANG_ACTION`.
   * @default 'report'
   */
  hangAction?: 'report' | 'abort';
  /**
   * Where hang reports go, for applications that configure their exporters in code: the base URL of an OTLP endpoint
   * such as `http://collector:4318`, used like `OTEL_EXPORTER_OTLP_ENDPOINT`.
   * Environment: `OTEL_EVENT_LOOP_HANG_REPORT_URL`.
   * @default what the `OTEL_EXPORTER_OTLP_*` variables say
   */
  hangReportUrl?: string;
  /**
   * Headers of hang reports, used like `OTEL_EXPORTER_OTLP_HEADERS`.
   * Environment: `OTEL_EVENT_LOOP_HANG_REPORT_HEADERS`, as `name=value,name=value`.
   * @default what the `OTEL_EXPORTER_OTLP_*` variables say
   */
  hangReportHeaders?: Record<string, string>;
  /**
   * How spans are found. `on-demand` follows callbacks only while the loop is late: the watchdog's first look inside a late
   * callback puts the hooks on, and a beat in time takes them off. A loop that is in time pays for no hook. It needs the
   * watchdog and writes no `eventloop.time`. `exact` follows every callback all the time.
   * Environment: `OTEL_EVENT_LOOP_ATTRIBUTION`.
   * @default 'on-demand'
   */
  attribution?: 'on-demand' | 'exact';
  /**
   * How much block spans, log events and hang reports tell of where code is. Hooks and channels get all of it.
   * Environment: `OTEL_EVENT_LOOP_STACK_PATHS`.
   * @default 'absolute'
   */
  stackPaths?: StackPaths;
  /**
   * Also emit the `nodejs.eventloop.*` metrics of the OpenTelemetry conventions, for those who do not run
   * instrumentation-runtime-node. Environment: `OTEL_EVENT_LOOP_RUNTIME_METRICS` (`true` or `false`).
   * @default false
   */
  runtimeMetrics?: boolean;
  /**
   * Attributes of the request or message that a block belongs to, also on `eventloop.block.duration` and
   * `eventloop.block.time`: `http.route`, any other of {@link EntryOperation.attributes}, `eventloop.entry.name` or
   * `eventloop.entry.kind`. Or a function that gives attributes for a block; what it throws becomes one `diag` line. At most
   * 100 different sets of values; what comes later has `otel.metric.overflow` in their place.
   * Environment: `OTEL_EVENT_LOOP_METRIC_ATTRIBUTES`, as `name,name`.
   */
  metricAttributes?: readonly string[] | ((block: Block) => Attributes);
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
