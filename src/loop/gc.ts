// SPDX-License-Identifier: Apache-2.0
import { PerformanceObserver } from 'node:perf_hooks';

/** Pauses that are remembered; a block is over and reported long before so many have come. */
const MAX_PAUSES = 1_000;

/** Remembers when the garbage collector stopped this thread. Its entries arrive one tick after the block. */
export class GcPauses {
  private _pauses: { readonly startTime: number; readonly duration: number }[] = [];
  private readonly _observer = new PerformanceObserver((list) => {
    this._pauses.push(...list.getEntries());
    if (this._pauses.length > MAX_PAUSES) this._pauses = this._pauses.slice(-MAX_PAUSES / 2);
  });

  start(): void {
    this._observer.observe({ entryTypes: ['gc'] });
  }

  stop(): void {
    this._observer.disconnect();
    this._pauses = [];
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
