// SPDX-License-Identifier: Apache-2.0
import { AsyncResource, executionAsyncId } from 'node:async_hooks';
import type { Tally } from './span-time.js';

/**
 * A poll that waited for so long had nothing to give: nothing is ready any more. One that finds events ready at once
 * counts some microseconds of idle time as well, more where the machine is busy.
 */
const IDLE_MILLIS = 0.25;

/**
 * The primary of a cluster hands over the next connection once it is told that the worker has the last one. Meanwhile
 * that one's request is read, and a poll may wait for so long.
 */
const HANDOVER_TURNS = 3;
const HANDOVER_MILLIS = 1;

/** For so long what had waited may sleep on its way to its span, in timers or in file reads. */
const SLEEP_MILLIS = 25;

/**
 * What a callback brings: a new connection (`accept`: it is a server's handle, TCP or pipe; `handover`: from the primary
 * of a cluster), something that came over a connection, or anything else. `nested` runs in the midst of another callback.
 */
export type CallbackKind = 'accept' | 'handover' | 'connection' | 'http2 stream' | 'nested' | 'other';

/** Where a backlog is told of. Called inside an async hook: must not throw. */
export interface BacklogListener {
  /**
   * `tally` ran in a block or in the backlog behind it. Times are µs since the first block of this stretch began.
   *
   * @param ranAt when it ran first in this iteration.
   * @param ranUntil when it had last run.
   * @param turn the iteration in which it ran, counted from that of the first block.
   */
  onRanBehind(tally: Tally, ranAt: number, ranUntil: number, turn: number): void;
  /** Nothing that runs from now on had to wait for what was before. */
  onCaughtUp(): void;
}

/** The ids that Node.js gives to async resources, one after the other. */
export interface AsyncIds {
  /** That of the resource whose callback runs. */
  current(): number;
  /** A new one. */
  next(): number;
}

const asyncIds: AsyncIds = {
  current: executionAsyncId,
  next: () => new AsyncResource('EventLoopBacklog', { requireManualDestroy: true }).asyncId(),
};

/**
 * Follows the loop from a block until everything has run that had been ready and waiting for it. The first poll behind
 * the block gives all events of open connections. But libuv accepts only about one new connection an iteration, whose
 * request comes with the next, so that may take dozens of them: as long as connections are accepted, and for no longer
 * than the block took, or on a saturated loop it would never end.
 *
 * A message that came with the first poll may be handed on, by `setImmediate`, timers or a queue, before its span begins.
 * Whether a callback comes forth from the backlog tells the id of its resource, without any hook at its birth: ids rise,
 * and the backlog's are those given while a callback of the backlog ran. That ends by itself once a consumer has nothing
 * left and waits for its connection anew, and at the latest when the loop was busy for as long as the block took again.
 */
export class Backlog {
  /** Busy time since the first block of this stretch began, up to the iteration that runs, in µs; 0: nobody waits. */
  micros = 0;
  /** Iterations since that of the first block. */
  turns = 0;
  /** Number of this stretch where the callback that runs is of the backlog, else 0. */
  origin = 0;
  private _stretch = 0;
  private _endMicros = 0;
  /** The first iteration behind the last block. */
  private _firstTurn = 0;
  private _hasAccepted = false;
  /** The iteration by which a primary would have handed over the next connection. */
  private _handoverUntil = -1;
  /** Only what comes forth from the backlog is still of it. */
  private _isTrail = false;
  private _sleptMillis = 0;
  /** Ids of the backlog's resources: from one up to the next, from the third up to the fourth, and so on. */
  private _ids: number[] = [];
  /** The iteration that first read from each connection which the backlog has brought. */
  private readonly _readIn = new Map<number, number>();

  constructor(
    private readonly _listener: BacklogListener,
    private readonly _asyncIds: AsyncIds = asyncIds,
  ) {}

  /** A callback begins while somebody waits. */
  enter(kind: CallbackKind): void {
    if (kind === 'nested') return;
    const isNew = kind === 'accept' || kind === 'handover';
    const isAccepted = isNew && !this._isTrail;
    if (isAccepted) this._hasAccepted = true;
    if (isAccepted && kind === 'handover') this._handoverUntil = this.turns + HANDOVER_TURNS;
    const isFirst = !this._isTrail && this.turns === this._firstTurn;
    const isOfBacklog = isAccepted || isFirst || this._comesForth(this._asyncIds.current(), kind);
    if (isOfBacklog === (this.origin !== 0)) return;
    const next = this._asyncIds.next();
    // Node.js has made the new connection already.
    this._ids.push(isNew ? next - 1 : next);
    this.origin = isOfBacklog ? this._stretch : 0;
  }

  private _comesForth(id: number, kind: CallbackKind): boolean {
    // Made by Node.js before its session's callback begins: its id says nothing.
    if (kind === 'http2 stream') return false;
    const ids = this._ids;
    for (let i = ids.length; i > 0; i--) {
      if (id < (ids[i - 1] as number)) continue;
      // From its second request on, a connection brings what came later.
      return i % 2 === 1 && (kind !== 'connection' || this._firstReadIn(id) === this.turns);
    }
    return false;
  }

  private _firstReadIn(id: number): number {
    const turn = this._readIn.get(id);
    if (turn !== undefined) return turn;
    this._readIn.set(id, this.turns);
    return this.turns;
  }

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
    if (this.micros === 0) this._stretch++;
    for (let i = 0; i < count; i++) this.see(tallies[i] as Tally);
    this.micros += busyMicros;
    this.turns++;
    if (isBlock) {
      this._endMicros = this.micros + busyMicros;
      this._firstTurn = this.turns;
    }
    const isInTime = isBlock || this.micros <= this._endMicros;
    if (!this._isTrail) {
      const isHandingOver = this.turns <= this._handoverUntil;
      const hasWaited = idleMillis > (isHandingOver ? HANDOVER_MILLIS : IDLE_MILLIS);
      const mayBeMore = isBlock || ((this._hasAccepted || isHandingOver) && isInTime);
      this._hasAccepted = false;
      if (mayBeMore && !hasWaited) return;
      // Right behind the block: nothing had become ready.
      if (isBlock) {
        this._end();
        return;
      }
      this._isTrail = true;
    }
    this._sleptMillis += idleMillis;
    if (!isInTime || this._sleptMillis > SLEEP_MILLIS) this._end();
  }

  /** Another block is there. What still comes forth from the backlog of the last ones waited for this one at the most. */
  beginAnew(): void {
    if (this._isTrail) this._end();
  }

  private _end(): void {
    this.micros = 0;
    this.turns = 0;
    this.origin = 0;
    this._isTrail = false;
    this._sleptMillis = 0;
    this._handoverUntil = -1;
    this._ids = [];
    this._readIn.clear();
    this._listener.onCaughtUp();
  }

  /** Whether `tally` may have waited for what was before. */
  concerns(tally: Tally): boolean {
    return !this._isTrail || tally.origin === this._stretch;
  }

  /** `tally` ran in the iteration that runs, or is just over. */
  see(tally: Tally): void {
    if (tally.span === undefined || !this.concerns(tally)) return;
    const ranAt = this.micros + tally.behindMicros;
    this._listener.onRanBehind(tally, ranAt, ranAt + tally.shareMicros, this.turns);
  }
}
