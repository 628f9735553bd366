// SPDX-License-Identifier: Apache-2.0
import { startImmediate, stopImmediate } from '../system/timers.js';

/** So many iterations behind each beat are marked: those of a loop that turns more often are short. */
const MARKS = 8;

/**
 * Marks the end of the first few iterations behind each beat, so that a block which begins behind them is told from them:
 * hardly a thousand callbacks a second, whatever goes on. An Immediate that is not waited for runs behind the poll of the
 * iteration, and neither makes the loop turn nor keeps it alive.
 */
export class IterationMarks {
  private _immediate: NodeJS.Immediate | undefined;
  private _left = 0;

  /** @param _onMark the poll of an iteration is over. @returns whether there is to be another. */
  constructor(private readonly _onMark: () => boolean) {}

  /** Called in each beat. */
  begin(): void {
    this._left = MARKS;
    if (this._immediate === undefined) this._arm();
  }

  /** Not to be called in a look: Node.js may be in the midst of its list of Immediates. */
  stop(): void {
    stopImmediate(this._immediate);
    this._immediate = undefined;
  }

  private _arm(): void {
    this._immediate = startImmediate(this._mark);
    this._immediate.unref();
  }

  private readonly _mark = (): void => {
    this._immediate = undefined;
    this._left--;
    if (this._onMark() && this._left > 0) this._arm();
  };
}
