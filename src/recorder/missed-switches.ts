// SPDX-License-Identifier: Apache-2.0
import type { Tally } from './span-time.js';

/**
 * Finds changes of the context that no hook has told of, by the looks of the watchdog. Where two in a row see another span
 * than we followed, in one slice of one callback, a change has escaped us, and the time from the first of them on goes to
 * whom they saw, with half of what had passed since we were last sure: the change came at any moment of it.
 * One look is not enough: it may interrupt our own code, or Node's, between the change and our taking note of it. Where
 * the machine gives this thread no core, looks are answered behind the callback, too, where no context is active.
 */
export class MissedSwitches {
  /** Whose time the last look saw in place of ours, and the slice and the callback in which it did. */
  private _tally: Tally | undefined;
  private _since = -1;
  private _job = 0;
  /** From when on it is theirs, if the next look agrees. */
  private _at = 0;
  /** When the watchdog last looked, and until when ours was sure at that. */
  private _lookedAt = 0;
  private _sureUntil = 0;

  /** The watchdog looks, in a slice that began at `since`. */
  look(time: number, since: number): void {
    this._sureUntil = Math.max(this._lookedAt, since);
    this._lookedAt = time;
  }

  /** When a change came that the last look saw, if it is believed: at any moment since ours was sure. */
  get halfway(): number {
    return (this._sureUntil + this._lookedAt) / 2;
  }

  /**
   * The look saw `tally` in place of whose slice it is, in this callback.
   *
   * @param isPrompt whether it came when it was asked for. Else native code held it up, and what was going on before it
   * need not have been what it found.
   * @returns from when on it is theirs; undefined where that is not certain yet.
   */
  see(tally: Tally, since: number, job: number, isPrompt: boolean): number | undefined {
    if (this._since === since && this._job === job && this._tally === tally) return this._at;
    this._at = isPrompt ? this.halfway : this._lookedAt;
    this._since = since;
    this._job = job;
    this._tally = tally;
    return undefined;
  }
}
