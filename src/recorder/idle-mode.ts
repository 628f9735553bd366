// SPDX-License-Identifier: Apache-2.0
import { Field, HAS_ATOMICS, jobsOf, Rest, type SharedMemory, Slot } from '../system/shared-memory.js';

/** In idle mode beats are so far apart at least. Milliseconds. */
export const IDLE_INTERVAL_MILLIS = 100;

/** A timer is late by so much, and a thread that waits in poll, where others use the cores as well. Milliseconds. */
const TIMER_MILLIS = 20;

/** So many beats in a row that found nothing but themselves, and the loop is idle. */
export const QUIET_BEATS = 10;

/** So many such beats, and a program that starts has nothing to do for now. */
const PAUSE_BEATS = 3;

/** Nothing but beats goes on, and those are rare once the worker knows. */
export class IdleMode {
  private _beatTimer: object | undefined;
  private _quietBeats = 0;
  private _jobsAtBeat = 0;
  /** The most that can be lost to a signal between two beats. */
  private readonly _losableMillis: number;

  /**
   * @param _slots where {@link Slot.Callbacks} and {@link Slot.Jobs} are counted, and {@link Slot.Resting} set.
   * @param beatMillis how far apart beats are otherwise.
   */
  constructor(
    private readonly _slots: Int32Array,
    private readonly _memory: SharedMemory | undefined,
    beatMillis: number,
  ) {
    this._losableMillis = Math.max(beatMillis, IDLE_INTERVAL_MILLIS) + TIMER_MILLIS;
  }

  /** Per callback and per job. */
  get isOn(): boolean {
    return this._slots[Slot.Resting] !== Rest.Over;
  }

  /** The timer of our own beat, whose callback does not end idle mode; another one whenever the pace has changed. */
  followBeat(timer: object): void {
    this._beatTimer = timer;
  }

  isBeat(resource: object): boolean {
    return resource === this._beatTimer;
  }

  /**
   * Called in each beat.
   *
   * @param isBehind whether something is still waiting for what ran before.
   * @returns whether beats may be rare from now on: the loop is idle, and the worker knows.
   */
  beat(isBehind: boolean): boolean {
    const jobs = jobsOf(this._slots);
    const isQuiet = jobs === ((this._jobsAtBeat + 1) | 0) && !isBehind;
    this._jobsAtBeat = jobs;
    this._quietBeats = isQuiet ? this._quietBeats + 1 : 0;
    return this._quietBeats >= QUIET_BEATS && this.begin();
  }

  /** Nothing goes on. @returns like {@link beat}. */
  begin(): boolean {
    if (!HAS_ATOMICS) return false;
    Atomics.compareExchange(this._slots, Slot.Resting, Rest.Over, Rest.Begun);
    return Atomics.load(this._slots, Slot.Resting) === Rest.Noticed;
  }

  /** Whether the last beat is the one with which a pause has become one. */
  get isPause(): boolean {
    return this._quietBeats === PAUSE_BEATS;
  }

  /**
   * Whether so much that was neither idle time nor announced by a hook can have been lost to a signal that interrupted the
   * poll: libuv does not count it as idle time.
   */
  canHaveLost(millis: number): boolean {
    return millis <= this._losableMillis;
  }

  /** Something happens, at `time`. In this order: the worker looks at the beat as soon as idle mode is over. */
  end(time: number): void {
    this._quietBeats = 0;
    if (this._memory !== undefined) this._memory.fields[Field.BeatAt] = time;
    Atomics.store(this._slots, Slot.Resting, Rest.Over);
    Atomics.notify(this._slots, Slot.Resting);
  }

  /** Nothing is followed any more. */
  stop(): void {
    this._quietBeats = 0;
    this._slots[Slot.Resting] = Rest.Over;
  }
}
