// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import type { Probe } from '../block/location.js';
import { PACKAGE_NAME } from '../version.js';

/** What `./debug` is told while it happens. Called inside async hooks and looks: must not throw. Times are `now()`. */
export interface DebugSink {
  /** A block of this length has to be found, whatever threshold the application chose. Milliseconds. */
  readonly maxThresholdMillis: number;
  /** Code ran under `span`, in a callback of this kind. */
  onSlice(span: Span | undefined, asyncResource: string, startedAt: number, endedAt: number): void;
  /** The iteration that the slices since the last one belong to is over. */
  onIteration(isBlock: boolean): void;
  onProbe(probe: Probe, at: number): void;
}

/** On the global: the application may load another copy of this package, whose instrumentation then watches. */
const SINK_KEY = Symbol.for(`${PACKAGE_NAME} debug`);
const globals = globalThis as unknown as Record<symbol, DebugSink | undefined>;

/** Undefined but for `./debug`. */
export function debugSink(): DebugSink | undefined {
  return globals[SINK_KEY];
}

export function setDebugSink(sink: DebugSink): void {
  globals[SINK_KEY] = sink;
}
