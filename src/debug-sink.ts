// SPDX-License-Identifier: Apache-2.0
import type { StackSample } from './model.js';
import type { SliceSink } from './recorder/traced-recorder.js';
import { PACKAGE_NAME } from './version.js';

/** What `./debug` is told while it happens. Called inside async hooks and looks: must not throw. Times are `now()`. */
export interface DebugSink extends SliceSink {
  /** A block of this length has to be found, whatever threshold the application chose. Milliseconds. */
  readonly maxThresholdMillis: number;
  /** Whether whatever runs is no start of a program: there is no limit for that. */
  readonly hasStarted: boolean;
  /** @param isLoading whether a module was being loaded. Only then the stack may be empty. */
  onStackSample(probe: StackSample, at: number, isLoading: boolean): void;
}

/** On the global: the application may load another copy of this package, whose instrumentation then watches. */
const SINK_KEY = Symbol.for(`${PACKAGE_NAME} debug`);
const globals = globalThis as unknown as Record<symbol, DebugSink | undefined>;

/** Undefined but for `./debug`. */
export function debugSink(): DebugSink | undefined {
  return globals[SINK_KEY];
}

export function setDebugSink(sink: DebugSink | undefined): void {
  globals[SINK_KEY] = sink;
}
