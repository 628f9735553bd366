// SPDX-License-Identifier: Apache-2.0
import { performance } from 'node:perf_hooks';

/**
 * The clocks of the loop. Everything is captured once at load, so that an application that replaces
 * `performance.now` (fake timers in a test) does not change what is measured.
 */

interface NodeTiming {
  readonly idleTime: number;
  readonly uvMetricsInfo: { readonly loopCount: number } | undefined;
}

/** Other runtimes have a `performance` of their own, with less in it. */
const NO_TIMING: NodeTiming = { idleTime: 0, uvMetricsInfo: undefined };
const nodeTiming = (performance.nodeTiming as unknown as NodeTiming | undefined) ?? NO_TIMING;

/** Monotonic time of this thread in milliseconds. 34 ns a call. */
export const now: () => number = performance.now.bind(performance);

/**
 * Whether this runtime tells for how long its loop has waited: without it nothing tells a loop that is busy from an idle one.
 * Deno does not have it; Bun has the name, and a number behind it that never changes.
 */
export function hasIdleClock(): boolean {
  return typeof performance.nodeTiming?.idleTime === 'number' && !('bun' in process.versions);
}

/** Whether this Node counts its loop iterations (Node.js ≥20.18 and ≥22.8). */
export function hasIterationClock(): boolean {
  return typeof nodeTiming.uvMetricsInfo?.loopCount === 'number';
}

/**
 * Number of the current loop iteration: libuv adds one before each poll. 12 ns (Node.js 26), 46 ns (20 to 24).
 * Always 0 where {@link hasIterationClock} is false.
 */
export const loopCount: () => number = hasIterationClock()
  ? () => (nodeTiming.uvMetricsInfo as { loopCount: number }).loopCount
  : () => 0;

/** Milliseconds that the loop has spent waiting in poll since the process started. 20 ns. */
export function idleTime(): number {
  return nodeTiming.idleTime;
}

/** Milliseconds that the loop was active and idle since it started, and the active share; Node's own count of them. */
export const eventLoopUtilization: typeof performance.eventLoopUtilization =
  performance.eventLoopUtilization?.bind(performance) ?? (() => ({ active: 0, idle: 0, utilization: 0 }));

/**
 * What to add to a value of {@link now} to get milliseconds since the Unix epoch. Read again for each report:
 * `performance.timeOrigin` does not follow when the wall clock is set.
 */
export function wallClockOffset(): number {
  return Date.now() - now();
}
