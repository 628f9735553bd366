// SPDX-License-Identifier: Apache-2.0
import { openSync, readSync } from 'node:fs';
import { now } from './clock.js';

/** The operating system counts in such steps. */
export const STOLEN_TIME_RESOLUTION_MILLIS = 10;
/** Of the numbers behind a core's name; https://man7.org/linux/man-pages/man5/proc_stat.5.html */
const STEAL_COLUMN = 7;

/** On a machine with hundreds of cores a reading takes a millisecond: this is the most of a core that they may take. */
const MAX_SHARE = 1 / 1000;
const MIN_INTERVAL_MILLIS = 1000;

/** How long the hypervisor has kept each core from this machine so far, in milliseconds. */
export type StolenTime = readonly number[];

/**
 * Follows what a hypervisor takes away: the thread's own times do not tell, it looks as if it slept. 30 µs a reading, so
 * one in a second, and another for a block in which the thread seems to have slept.
 */
export class StolenTimes {
  private _last: StolenTime | undefined;
  private _dueAt = Number.NEGATIVE_INFINITY;

  /** A reading of a second ago, or of now. Undefined where the operating system does not tell. */
  recent(): StolenTime | undefined {
    const startedAt = now();
    if (startedAt < this._dueAt) return this._last;
    this._last = readStolenTime();
    const endedAt = now();
    this._dueAt = endedAt + Math.max(MIN_INTERVAL_MILLIS, (endedAt - startedAt) / MAX_SHARE);
    return this._last;
  }
}

/** One descriptor per thread: an application that traces its file system sees no reading then. */
let descriptor: number | undefined;
/** The lines of the cores come first; so many bytes hold a thousand of them. */
const BUFFER_BYTES = 1 << 16;

/** Read now. Undefined where the operating system does not tell. */
export function readStolenTime(): StolenTime | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    descriptor ??= openSync('/proc/stat', 'r');
    const text = Buffer.allocUnsafe(BUFFER_BYTES);
    return parseStolenTime(text.toString('latin1', 0, readSync(descriptor, text, 0, text.length, 0)));
  } catch {
    // Not allowed, or closed by an application that closes whatever it finds open.
    return undefined;
  }
}

/** @param stat what is in /proc/stat; a line for each core that is in use, by its number. */
export function parseStolenTime(stat: string): StolenTime {
  const stolen: number[] = [];
  for (const [, core, numbers] of stat.matchAll(/^cpu(\d+) (.*)$/gm)) {
    stolen[Number(core)] = Number(numbers?.split(' ')[STEAL_COLUMN] ?? 0) * STOLEN_TIME_RESOLUTION_MILLIS;
  }
  return stolen;
}

/** At most so much was taken from one thread; it may move from one core to another meanwhile. */
export function stolenBetween(before: StolenTime | undefined, after: StolenTime | undefined): number {
  if (before === undefined || after === undefined) return 0;
  const [most = 0, second = 0] = after.map((millis, core) => millis - (before[core] ?? millis)).sort((a, b) => b - a);
  return most + second;
}
