// SPDX-License-Identifier: Apache-2.0
import type { Iteration } from '../model.js';
import type { Tally } from './span-time.js';

/** Up to here the fast way from milliseconds to whole microseconds does not overflow. */
const MAX_FAST_MILLIS = 2_000_000;

/** An array for the tallies of one iteration that grew beyond this is given back. */
const KEPT_TALLIES = 1024;

/** What was on the ledger before allowed code ran. */
export interface IterationSetAside {
  readonly shares: readonly { tally: Tally; shareMicros: number; behindMicros: number }[];
  readonly busyMicros: number;
}

/**
 * What ran in the iteration that still runs: how long, and who. Each share is kept in the tally itself, with the number of
 * the iteration that it belongs to, so that an iteration is begun anew by counting on.
 */
export class IterationLedger {
  /** Its number, as tallies know it. */
  iteration = 0;
  busyMicros = 0;
  /** Where the last slice that counts ended. */
  endedAt = 0;
  /** What rounding has left: thousands of slices of less than a microsecond are a block as well. */
  private _restMicros = 0;
  private _head: Iteration['head'];
  /** Who ran: the first {@link count} of them. */
  ran: (Tally | undefined)[] = [];
  count = 0;
  /** The iteration of which somebody was told while it ran, and how long it had been busy then. */
  private _toldIteration = -1;
  private _toldMicros = 0;

  /** `tally` ran for so long until `time`. Per slice. */
  add(tally: Tally, millis: number, time: number): void {
    const exact = millis * 1000 + this._restMicros;
    const micros = millis < MAX_FAST_MILLIS ? (exact + 0.5) | 0 : Math.round(exact);
    if (micros <= 0) {
      if (millis > 0) this._restMicros = exact;
      return;
    }
    this._restMicros = exact - micros;
    if (tally.iteration === this.iteration) {
      tally.shareMicros += micros;
    } else {
      tally.iteration = this.iteration;
      tally.shareMicros = micros;
      tally.behindMicros = this.busyMicros;
      this.ran[this.count++] = tally;
    }
    tally.totalMicros += micros;
    this.busyMicros += micros;
    this.endedAt = time;
  }

  /** The iteration was busy for so long until `time`, before anybody followed it: taken for `tally`'s time. */
  addHead(tally: Tally, millis: number, time: number): void {
    this.add(tally, millis, time);
    this._head = { share: tally, micros: this.busyMicros };
  }

  /** What of it nobody has seen, and whose it is taken for. */
  get head(): Iteration['head'] {
    return this._head;
  }

  /** Who ran, for whoever keeps it. */
  tallies(): Tally[] {
    return this.ran.slice(0, this.count) as Tally[];
  }

  /** The next iteration begins. */
  clear(): void {
    if (this.count > KEPT_TALLIES) this.ran = [];
    else for (let i = 0; i < this.count; i++) this.ran[i] = undefined;
    this.count = 0;
    this.busyMicros = 0;
    this._head = undefined;
    this.iteration = (this.iteration + 1) | 0;
  }

  /** Begins anew in the midst of an iteration; what ran so far is to be given back to {@link putBack}. */
  setAside(): IterationSetAside {
    const shares = this.tallies().map((tally) => {
      const { shareMicros, behindMicros } = tally;
      return { tally, shareMicros, behindMicros };
    });
    const aside = { shares, busyMicros: this.busyMicros };
    this.clear();
    return aside;
  }

  /** Forgets what ran since {@link setAside}, but for what each has spent in all. */
  putBack({ shares, busyMicros }: IterationSetAside): void {
    this.clear();
    for (const { tally, shareMicros, behindMicros } of shares) {
      tally.iteration = this.iteration;
      tally.shareMicros = shareMicros;
      tally.behindMicros = behindMicros;
      this.ran[this.count++] = tally;
    }
    this.busyMicros = busyMicros;
  }

  /**
   * Whether to tell of a block that still goes on: again only when it has doubled, because thousands of spans may end in it
   * and to tell takes as long as there are spans that ran so far.
   */
  isNews(): boolean {
    const isTold = this._toldIteration === this.iteration;
    if (isTold && this.busyMicros < 2 * this._toldMicros) return false;
    this._toldIteration = this.iteration;
    this._toldMicros = this.busyMicros;
    return true;
  }
}
