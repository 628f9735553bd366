// SPDX-License-Identifier: Apache-2.0
import type { DiagLogger } from '@opentelemetry/api';
import { WakeHook } from '../hooks/wake-hook.js';
import { IDLE_INTERVAL_MILLIS, type IdleMode, QUIET_BEATS } from '../recorder/idle-mode.js';
import type { StartUp } from '../recorder/start-up.js';
import { now } from '../system/clock.js';
import { hasRoom } from '../system/stack-room.js';
import type { ThreadTimeReader } from '../system/thread-time.js';
import type { Attribution } from './attribution.js';
import type { Following } from './following.js';
import { IterationMarks } from './iteration-marks.js';
import type { LateBeats } from './late-beats.js';

/** Beats are no further apart: the time ahead of the first look is nobody's but by guess. Milliseconds. */
const MOST_INTERVAL_MILLIS = 10;
/** A beat so late may be in a block: the watchdog looks. Milliseconds. */
const LATE_MILLIS = 4;
/** A look that finds less of an iteration has come behind the block that it was asked for. Milliseconds. */
const LEAST_HEAD_MILLIS = 2;
/**
 * Each time that it was no block after all, the next look comes so much later, and with each beat in time sooner again: a loop
 * that is late time and again for less than a block is not looked at more than once in four seconds. Hooks that are put
 * on cost more than the while they are on: V8 gives up code that it had optimised without them.
 */
const GROWTH = 1.5;
const DECAY = 0.999;
/** A loop that was busy for less than this from one beat to the next did nothing but that. Milliseconds. */
const QUIET_MILLIS = 1;
/** At the most so many such beats in a row are wanted, for the loop to be idle. */
const MOST_QUIET_BEATS = 640;
/** Words of the stack, 128 KiB: hooks that are put on for the first time are compiled meanwhile. */
const ROOM_WORDS = 16_384;

/**
 * Follows the loop only where it is late. The first look of the watchdog inside of a late callback puts the recorder on,
 * in the midst of the block; from there on everything is exact. The first beat in time behind the block and its backlog
 * takes it off.
 *
 * On a loop that is often a little late without ever being blocked, looks come later and later, up to half the threshold,
 * and take less and less.
 */
export class OnDemand implements Attribution {
  readonly kind = 'on-demand';
  /** How often it was put on and taken off so far. */
  ons = 0;
  offs = 0;
  private readonly _leastLateMillis: number;
  /** No look comes later than that. */
  private readonly _limitMillis: number;
  private _lateMillis: number;
  /** How far apart beats are where the loop is not idle. */
  private _paceMillis = MOST_INTERVAL_MILLIS;
  private _isSwitching = false;
  /** How many blocks there had been when it was put on. */
  private _blocksBefore = -1;
  private _hasComplained = false;
  private _startUp: StartUp | undefined;
  private readonly _wakeHook = new WakeHook((resource) => {
    if (!this._idle.isBeat(resource)) this._endIdling();
  });
  private readonly _marks = new IterationMarks(() => this._mark());
  private _isIdling = false;
  /** So many beats in a row found nothing to do, and the next time so many are wanted. */
  private _quietBeats = 0;
  private _wantedQuietBeats = QUIET_BEATS;
  /** How long this thread had stood without a core at the last beat. */
  private _queuedMillis = 0;

  constructor(
    thresholdMillis: number,
    private readonly _following: Following,
    private readonly _beats: LateBeats,
    private readonly _threadTime: ThreadTimeReader,
    private readonly _idle: IdleMode,
    private readonly _diag: DiagLogger,
  ) {
    this._leastLateMillis = Math.min(LATE_MILLIS, Math.max(thresholdMillis / 4, 1));
    this._limitMillis = Math.max(this._leastLateMillis, thresholdMillis / 2);
    this._lateMillis = this._leastLateMillis;
  }

  /** While the program loads its modules everything is followed: what is its start, and what a block, callbacks tell. */
  start(startUp: StartUp | undefined): void {
    this._beats.start(undefined);
    this._startUp = startUp;
    // Also where nothing starts: what cannot be had comes to light.
    this._following.start(startUp);
    this.ons++;
  }

  stop(): void {
    this._following.stop();
    this._wakeHook.off();
    this._marks.stop();
    this._idle.stop();
    this._isIdling = false;
  }

  get mostLateMillis(): number {
    // A program that starts is followed, and to look at it slows it down.
    return this._isStarting() ? this._limitMillis : this._lateMillis;
  }

  followBeat(timer: object): void {
    this._following.followBeat(timer);
    this._idle.followBeat(timer);
  }

  beat(lateMillis: number): void {
    // On a machine without a core for it each beat is late, and that is no reason to follow anything.
    const queuedMillis = this._queuedSoFar();
    const ownLateMillis = lateMillis - (queuedMillis - this._queuedMillis);
    this._queuedMillis = queuedMillis;
    this._following.beat();
    if (!this._following.isOn) {
      this._beats.beat();
      this._lateMillis = Math.max(this._lateMillis * DECAY, this._leastLateMillis);
      this._seeWhetherIdle();
      if (!this._isIdling) this._marks.begin();
      return;
    }
    this._beats.startOver();
    const isDone = this._following.isCaughtUp && !this._isStarting();
    if (isDone && ownLateMillis < this._lateMillis) this._takeOff();
  }

  /** No further apart than the head of a block may be long, of which nobody sees anything; unless hooks tell of its start. */
  paceMillis(usual: number): number {
    const most = Math.min(usual, MOST_INTERVAL_MILLIS);
    this._paceMillis = most;
    if (this._following.isOn) return this._beats.paceMillis(this._following.paceMillis(most));
    if (!this._isIdling || !this._idle.begin()) return this._beats.paceMillis(most);
    this._wantedQuietBeats = QUIET_BEATS;
    return this._beats.paceMillis(Math.max(usual, IDLE_INTERVAL_MILLIS));
  }

  look(isPrompt: boolean): void {
    if (this._following.isOn) this._following.look(isPrompt);
    else if (!this._isSwitching && this._beats.lateMillis >= 0) this._putOn();
  }

  runningMillis(): number | undefined {
    return this._following.isOn ? this._following.runningMillis() : undefined;
  }

  allow(): () => void {
    if (!this._following.isOn) return this._beats.allow();
    const end = this._following.allow();
    return () => {
      end();
      this._beats.startOver();
    };
  }

  flush(): void {
    if (this._following.isOn) this._following.flush();
    else this._beats.flush();
  }

  private _isStarting(): boolean {
    return this._startUp !== undefined && !this._startUp.isOver && !this._startUp.isTooLong;
  }

  /**
   * While the loop is idle one hook is on, with nothing to call it: beats can be rare, and the first callback ends that. What
   * is idle only now and then is left alone for longer each time.
   */
  private _seeWhetherIdle(): void {
    const isQuiet = this._beats.lastBusyMillis < QUIET_MILLIS;
    if (this._isIdling) {
      // Something ran that no hook has announced.
      if (!isQuiet) this._endIdling();
      return;
    }
    this._quietBeats = isQuiet ? this._quietBeats + 1 : 0;
    if (this._quietBeats < this._wantedQuietBeats) return;
    this._quietBeats = 0;
    this._wantedQuietBeats = Math.min(this._wantedQuietBeats * 2, MOST_QUIET_BEATS);
    this._isIdling = true;
    this._marks.stop();
    this._wakeHook.on();
  }

  /** What is followed is none of the beats' business. */
  private _mark(): boolean {
    if (this._following.isOn) return false;
    this._beats.mark();
    return true;
  }

  private _endIdling(): void {
    if (!this._isIdling) return;
    this._isIdling = false;
    this._wakeHook.off();
    this._beats.startOver();
    this._beats.paceMillis(this._paceMillis);
    this._idle.end(now());
  }

  /** In the midst of the application's code. Never throws. */
  private _putOn(): void {
    const queuedMillis = this._queuedSoFar() - this._queuedMillis;
    const headMillis = this._beats.busyMillis;
    if (this._beats.lateMillis < queuedMillis || headMillis < LEAST_HEAD_MILLIS) {
      this._lookLater();
      return;
    }
    if (!hasRoom(ROOM_WORDS)) return;
    this._isSwitching = true;
    try {
      this._following.startLate(headMillis);
      this.ons++;
      this._blocksBefore = this._following.blockCount;
    } catch (error) {
      if (!this._hasComplained) this._diag.warn('blocks are not followed:', error);
      this._hasComplained = true;
    }
    this._isSwitching = false;
  }

  /** It was no block after all. */
  private _lookLater(): void {
    this._lateMillis = Math.min(this._lateMillis * GROWTH, this._limitMillis);
  }

  private _queuedSoFar(): number {
    return this._threadTime()?.queuedMillis ?? 0;
  }

  private _takeOff(): void {
    // What is still open has begun a moment ago, with this beat.
    this._following.flush();
    this._following.pause();
    this.offs++;
    if (this._following.blockCount === this._blocksBefore) this._lookLater();
  }
}
