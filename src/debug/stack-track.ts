// SPDX-License-Identifier: Apache-2.0

/** A function, for as long as samples of the stack have it in the same place. Whole microseconds. */
export interface StackStretch {
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
}

interface OpenStretch {
  readonly name: string;
  readonly ts: number;
}

/** Samples of the stack as stretches that lie in each other, for viewers that know nothing of samples. */
export class StackTrack {
  /** From the outermost on; all of them end where the last sample does. */
  private _open: OpenStretch[] = [];
  private _end = 0;
  private _done: StackStretch[] = [];

  /**
   * @param names from the outermost function to the one that ran.
   * @param ts the start of what the sample vouches for; what the one before has told already is left out.
   */
  add(names: readonly string[], ts: number, end: number): void {
    const start = Math.max(ts, this._end);
    if (end <= start) return;
    if (start > this._end) this._close(0);
    let same = 0;
    while (same < names.length && this._open[same]?.name === names[same]) same++;
    this._close(same);
    for (const name of names.slice(same)) this._open.push({ name, ts: start });
    this._end = end;
  }

  /** What is over, each ahead of what lies in it; all that there is if `isLast`. */
  take(isLast: boolean): StackStretch[] {
    if (isLast) this._close(0);
    // What is still to come may lie around it.
    if (this._open.length > 0) return [];
    const done = this._done.sort((a, b) => a.ts - b.ts || b.dur - a.dur);
    this._done = [];
    return done;
  }

  /** Those from `depth` inwards. */
  private _close(depth: number): void {
    for (const { name, ts } of this._open.splice(depth)) this._done.push({ name, ts, dur: this._end - ts });
  }
}
