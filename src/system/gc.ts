// SPDX-License-Identifier: Apache-2.0
import { PerformanceObserver } from 'node:perf_hooks';

/** Pauses that are remembered; a block is over and reported long before so many have come, but for a storm of them. */
const MAX_PAUSES = 10_000;

interface Pause {
  readonly startTime: number;
  readonly duration: number;
}

/** Remembers when the garbage collector stopped this thread. Its entries arrive one tick after the block. */
export class GcPauses {
  private _pauses: Pause[] = [];
  private readonly _observer = new PerformanceObserver((list) => {
    // Not the entries themselves: each has accessors of its own, 2 kB in all.
    for (const { startTime, duration } of list.getEntries()) this._pauses.push({ startTime, duration });
    if (this._pauses.length > MAX_PAUSES) this._pauses = this._pauses.slice(-MAX_PAUSES / 2);
  });

  start(): void {
    this._observer.observe({ entryTypes: ['gc'] });
  }

  stop(): void {
    this._observer.disconnect();
    this._pauses = [];
  }

  /** Forgets what ended before `time`. */
  forgetBefore(time: number): void {
    if (this._pauses.length > 0)
      this._pauses = this._pauses.filter((pause) => pause.startTime + pause.duration >= time);
  }

  /** How much of the time from `start` to `end`, on the clock of `performance.now()`, was garbage collection. */
  millisBetween(start: number, end: number): number {
    let millis = 0;
    for (const { startTime, duration } of this._pauses) {
      millis += Math.max(Math.min(startTime + duration, end) - Math.max(startTime, start), 0);
    }
    return millis;
  }
}
