// SPDX-License-Identifier: Apache-2.0
import type { PlainEntry } from '../words/entry.js';

/** What is told by the code that is sent into a process. */

/** What the script is called that is sent. */
export const SCRIPT = 'opentelemetry-instrumentation-event-loop/attach';

export interface InsideFrame {
  readonly text: string;
  readonly functionName: string | null;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly startLine: number;
  readonly startColumn: number;
}

export interface InsideSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
  /** How long ago it was started. */
  readonly ageMillis: number | undefined;
  readonly entry: PlainEntry | undefined;
}

export interface InsideLook {
  /** Since the process was started. */
  readonly at: number;
  /** How long the loop has waited for events so far. */
  readonly idleMillis: number;
  /** Turns of the loop so far. */
  readonly loopCount: number;
  readonly isCut: boolean;
  readonly frames: readonly InsideFrame[];
  readonly hasOpenTelemetry: boolean;
  /** Whether this package is in there already. */
  readonly isWatched: boolean;
  readonly span: InsideSpan | undefined;
}

/** What a watch is started with. */
export interface WatchOrder {
  /** Where we listen. */
  readonly address: string;
  /** What we know it by. */
  readonly token: string;
  readonly thresholdMillis: number;
  /** Then it ends, whatever it is told. */
  readonly lastsMillis: number;
  /** Whether the events of a trace file are wanted. */
  readonly isTraced: boolean;
}

/** What a watch tells, a line of JSON each. */
export type WatchMessage =
  /** It is in place. `isShared`: the package was there already, and tells. */
  | { readonly type: 'started'; readonly isShared: boolean }
  /** A `Block`, whose spans are plain. */
  | { readonly type: 'block'; readonly block: object }
  | { readonly type: 'note'; readonly text: string }
  /** A piece of a trace file; `dropped` events are missing in it, as the last one tells. */
  | { readonly type: 'trace'; readonly text: string; readonly dropped?: number }
  /** All is undone. */
  | { readonly type: 'stopped' };

/** What ends it. Where the connection ends it does as well. */
export const STOP = 'stop\n';
