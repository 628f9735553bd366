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
