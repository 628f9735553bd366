// SPDX-License-Identifier: Apache-2.0
import type { Tally } from './span-time.js';

/**
 * A poll that waited for so long had nothing to give: nothing is ready any more. One that finds events ready at once
 * counts some microseconds of idle time as well, more where the machine is busy.
 */
const IDLE_MILLIS = 0.25;

/** Where catching up is told. Called inside an async hook: must not throw. */
export interface CatchUpListener {
  /**
   * `tally` ran in a block or in the catch-up behind it. Times are µs since the first block of this stretch began.
   *
   * @param ranAt when it ran first in this iteration.
   * @param ranUntil when it had last run.
   * @param turn the iteration in which it ran, counted from that of the first block.
   */
  onRanBehind(tally: Tally, ranAt: number, ranUntil: number, turn: number): void;
  /** Nothing that runs from now on had to wait for what was before. */
  onCaughtUp(): void;
}

/**
 * Follows the loop from a block until everything has run that had been ready and waiting for it. The first poll behind
 * the block gives all events of open connections. But libuv accepts only about one new connection an iteration, whose
 * request comes with the next, so that may take dozens of them: as long as connections are accepted, and for no longer
 * than the block took, or on a saturated loop it would never end.
 */
export class CatchUp {
  /** Busy time since the first block of this stretch began, up to the iteration that runs, in µs; 0: nobody waits. */
  micros = 0;
  /** Iterations since that of the first block. */
  turns = 0;
  /** Whether the iteration that runs has accepted a connection. */
  hasAccepted = false;
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
    this.turns++;
    if (isBlock) this._endMicros = this.micros + busyMicros;
    const mayBeMore = isBlock || (this.hasAccepted && this.micros <= this._endMicros);
    this.hasAccepted = false;
    if (!mayBeMore || idleMillis > IDLE_MILLIS) {
      this.micros = 0;
      this.turns = 0;
      this._listener.onCaughtUp();
    }
  }

  /** `tally` ran in the iteration that runs, or is just over. */
  see(tally: Tally): void {
    const ranAt = this.micros + tally.behindMicros;
    if (tally.span !== undefined) this._listener.onRanBehind(tally, ranAt, ranAt + tally.shareMicros, this.turns);
  }
}
