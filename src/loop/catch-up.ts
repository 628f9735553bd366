// SPDX-License-Identifier: Apache-2.0
import type { Tally } from './tally.js';

/**
 * A poll that waited for so long had nothing to give: the loop has caught up. One that finds events ready at once counts
 * some microseconds of idle time as well, more where the machine is busy.
 */
const IDLE_MILLIS = 0.25;

/** Where catching up is told. Called inside an async hook: must not throw. */
export interface CatchUpListener {
  /**
   * `tally` ran in a block or in the catch-up behind it. Times are µs since the first block of this stretch began.
   *
   * @param ranAt when it ran first in this iteration.
   * @param ranUntil when it had last run.
   */
  onRanBehind(tally: Tally, ranAt: number, ranUntil: number): void;
  /** The loop has waited in poll again: nothing that runs from now on had to wait for what was before. */
  onCaughtUp(): void;
}

/**
 * Follows the loop from a block to the first poll in which it waits again: everything that runs until then had been
 * ready and waiting. libuv accepts about one connection an iteration, so that may take dozens of them. A saturated loop
 * never waits: there it ends once as much has run again as the last block took.
 */
export class CatchUp {
  /** Busy time since the first block of this stretch began, up to the iteration that runs, in µs; 0: nobody waits. */
  micros = 0;
  private _endMicros = 0;

  constructor(private readonly _listener: CatchUpListener) {}

  /**
   * An iteration is over that was a block, or ran behind one.
   *
   * @param tallies everything that ran in it, the first `count` of them.
   * @param idleMillis how long the poll after it waited.
   */
  turn(
    tallies: readonly (Tally | undefined)[],
    count: number,
    busyMicros: number,
    isBlock: boolean,
    idleMillis: number,
  ): void {
    for (let i = 0; i < count; i++) this.see(tallies[i] as Tally);
    this.micros += busyMicros;
    if (isBlock) this._endMicros = this.micros + busyMicros;
    if (idleMillis > IDLE_MILLIS || this.micros > this._endMicros) {
      this.micros = 0;
      this._listener.onCaughtUp();
    }
  }

  /** `tally` ran in the iteration that runs, or is just over. */
  see(tally: Tally): void {
    const ranAt = this.micros + tally.behindMicros;
    if (tally.span !== undefined) this._listener.onRanBehind(tally, ranAt, ranAt + tally.shareMicros);
  }
}
