// SPDX-License-Identifier: Apache-2.0
import type { SampledFrame, StackSample } from '../model.js';
import type { StackFrame, StackPaths } from '../types.js';
import type { PlainEntry } from '../words/entry.js';

/** Of a hang report: its span and its log event. */
export type Signal = 'traces' | 'logs';

/** What the worker is started with. JSON, but for the shared memory. */
export interface WorkerData {
  readonly memory: SharedArrayBuffer;
  /** What to add to the process's clock to get the main thread's `performance.now()`. */
  readonly clockOffset: number;
  /** The shortest time between two looks. Milliseconds. */
  readonly lookIntervalMillis: number;
  /** Whether looks are allowed and possible here. */
  readonly mayLook: boolean;
  /** 0 = no hang is reported. Milliseconds. */
  readonly hangThresholdMillis: number;
  readonly hangAction: 'report' | 'abort';
  readonly stackPaths: StackPaths;
  /** Where the operating system tells of the watched thread; see `threadFolder()`. */
  readonly threadFolder: string | undefined;
  /** The number of the watched thread, where it is not the main thread. */
  readonly workerThreadId: number | undefined;
  /** Since when it is looked at by profiles (see `ThreadProfiler`), if it is. On the watched thread's clock. */
  readonly profiledSince: number | undefined;
  /** Where our files are, where they are ours alone. */
  readonly ownFolder: string | undefined;
  /** Where to look for the OTLP exporters of the application: files from which to resolve. */
  readonly resolveFrom: readonly string[];
}

/** A resource as it can be sent. */
export interface PlainResource {
  readonly attributes: Record<string, unknown>;
  readonly schemaUrl?: string | undefined;
}

/** Main → worker. */
export type ToWorker =
  /** The variables of the environment that start with `OTEL_`, now that the program is up. */
  | { readonly type: 'environment'; readonly variables: Readonly<Record<string, string>> }
  | ({ readonly type: 'resource' } & PlainResource)
  /** Those that leave the process. Until it is told, none. */
  | { readonly type: 'signals'; readonly signals: readonly Signal[] }
  | { readonly type: 'map'; readonly id: number; readonly frames: readonly StackFrame[] }
  /** What was seen in profiles from then to then, on the watched thread's clock? */
  | { readonly type: 'seen'; readonly id: number; readonly from: number; readonly until: number };

/** Worker → main. */
export type FromWorker =
  /** The loop is no longer at rest: time for a beat. */
  | { readonly type: 'awake' }
  | {
      readonly type: 'mapped';
      readonly id: number;
      readonly frames: readonly StackFrame[];
      /** Files that do not say where their maps are. */
      readonly withoutMap: readonly string[];
    }
  | {
      readonly type: 'seen';
      readonly id: number;
      readonly samples: readonly StackSample[];
      /** How long at most we held up the thread ourselves. */
      readonly pausedMillis: number;
    }
  /** These have a source map. */
  | { readonly type: 'mappable'; readonly files: readonly string[] }
  /** Looks fail here, for this reason: none will be tried again. */
  | { readonly type: 'blind'; readonly reason: string };

/** A stack sample as the main thread answers it to a look, in JSON. */
export interface SentSample {
  readonly span?:
    | {
        readonly traceId: string;
        readonly spanId: string;
        readonly name: string;
        /** The request or message that it belongs to. */
        readonly entry?: PlainEntry | undefined;
        /** Milliseconds since the Unix epoch, where the span tells. */
        readonly startTimeMillis?: number | undefined;
        /** Where it has ended. */
        readonly endTimeMillis?: number | undefined;
      }
    | undefined;
  readonly frames: readonly SampledFrame[];
  /** Whether the stack goes on beyond them. */
  readonly isCut: boolean;
  /** The application's own beyond them. */
  readonly outer?: readonly SampledFrame[] | undefined;
  readonly accuracy: 'during' | 'after';
  /** What there is of an SDK, as long as no beat has come and hence no message. */
  readonly sdk?: { readonly signals: readonly Signal[]; readonly resource?: PlainResource | undefined } | undefined;
}

/** The function that the main thread leaves on its global for the watchdog, under `Symbol.for` of this. */
export const LOOK_KEY = 'opentelemetry-instrumentation-event-loop look';

/** Where worker threads ask for profiles; answered by the thread that has started them. */
export const PROFILER_CHANNEL = 'opentelemetry-instrumentation-event-loop profiler 1';
/** Where that and the watchdog of the worker thread speak from then on. */
export function profileChannel(threadId: number): string {
  return `${PROFILER_CHANNEL} of ${threadId}`;
}

/** Worker thread → who has started it. */
export type ToProfiler = {
  /** Be ready to look at this thread; nobody will ask any more. */
  readonly type: 'keep' | 'leave';
  readonly threadId: number;
};

/** Its watchdog → who has started it: are you ready? Look from now on, until `end`. */
export type Ask = { readonly type: 'ready?' | 'begin' | 'end' };

/** And back. */
export type Answer =
  | { readonly type: 'ready' }
  /** In JSON; undefined where there is none. */
  | { readonly type: 'profile'; readonly profile: string | undefined };
