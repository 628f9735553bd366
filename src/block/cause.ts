// SPDX-License-Identifier: Apache-2.0
import type { Evidence } from '../model.js';
import type { BlockCause } from '../types.js';

/** A cause has to account for this part of a block; where none does, none is given. */
const MAJORITY = 0.5;

/**
 * Why the thread was blocked: what took most of the time.
 *
 * | evidence                                                                    | cause  |
 * |-----------------------------------------------------------------------------|--------|
 * | most of it ready to run without a core, or stopped along with the watchdog  | `host` |
 * | most of it in garbage collection                                            | `gc`   |
 * | most of it on a core otherwise                                              | `cpu`  |
 * | most of it neither on a core nor waiting for one                            | `wait` |
 * | none of these, or the thread's CPU time is not known                        | none   |
 * | neither on a core nor waiting for one, and no watchdog tells "stopped" apart | none   |
 * | the same, but the hypervisor may have taken what would make it a wait       | none   |
 *
 * A collection that lasts because its thread has no core is not what took the time: it counts less all that may be
 * something else's.
 */
export function causeOf(evidence: Evidence): BlockCause | undefined {
  const { durationMillis, cpuMillis, gcMillis, bothLateMillis, stolenMillis } = evidence;
  const queuedMillis = evidence.queuedMillis ?? 0;
  const enough = durationMillis * MAJORITY;
  if (cpuMillis === undefined) return gcMillis >= enough ? 'gc' : undefined;
  const asleepMillis = asleepMillisOf(evidence);
  const stoppedMillis = Math.min(bothLateMillis ?? 0, asleepMillis);
  // Ahead of the collector, which may be what was going on when the process was stopped.
  if (hostMillisOf(evidence) >= enough) return 'host';
  const withheldMillis =
    bothLateMillis === undefined ? asleepMillis : Math.min(stoppedMillis + stolenMillis, asleepMillis);
  if (gcMillis - queuedMillis - withheldMillis >= enough) return 'gc';
  if (cpuMillis - gcMillis >= enough) return 'cpu';
  if (asleepMillis - withheldMillis >= enough) return 'wait';
  return undefined;
}

/** In which the thread was ready to run and had no core, or was stopped along with the watchdog. Milliseconds. */
export function hostMillisOf(evidence: Evidence): number {
  return (evidence.queuedMillis ?? 0) + Math.min(evidence.bothLateMillis ?? 0, asleepMillisOf(evidence));
}

/** Neither on a core nor waiting for one; 0 where that is not known. */
function asleepMillisOf({ durationMillis, cpuMillis, queuedMillis }: Evidence): number {
  return cpuMillis === undefined ? 0 : Math.max(durationMillis - cpuMillis - (queuedMillis ?? 0), 0);
}
