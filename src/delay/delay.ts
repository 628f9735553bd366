// SPDX-License-Identifier: Apache-2.0
import { MIN_BUSY_MILLIS } from '../model.js';
import { hasIterationClock, idleTime, loopCount, now } from '../system/clock.js';

/** One wait is recorded for each so many milliseconds that pass: no block is longer than the longest wait by more. */
export const STEP_MILLIS = 5;

/**
 * So many waits are recorded in one go, about 1 ms of work: a block of 10 s. What a longer one (a process that was
 * stopped for an hour) leaves over is recorded on the next beats, so that its weight is right all the same.
 */
export const MAX_WAITS_AT_ONCE = 2_000;

/** Waits of 0 come in one go on each so manieth beat: the beats of an idle process would cost more than all else. */
const BEATS_PER_IDLE_FLUSH = 10;

/** Multiples of it fall evenly into 0..1, also when only every second or third is looked at: nothing can beat with it. */
const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;

/** A poll that ends this much after its timer was due is nothing but the millisecond that timers are rounded to. */
const TIMER_ROUNDING_MILLIS = 2;

/**
 * Turns time into waits of imagined events, one for each {@link STEP_MILLIS} that pass.
 *
 * An event that arrives while an iteration of length B runs waits for the rest of it: anything from 0 to B, all equally
 * likely, and B/step such events arrive. One that arrives at any other time does not wait. So the waits of one iteration
 * are B − offset, B − offset − step, …, with another offset each time, and 0 for the rest of the time.
 */
export class DelaySampler {
  private _offset = 0;
  private _elapsedMillis = 0;
  private _planned = 0;
  /** Iterations of which nothing is recorded yet. */
  private _lengths = new Float64Array(64);
  private _lengthCount = 0;
  /** The longest wait still to be recorded of each iteration that was too long for one go. Empty but for disasters. */
  private readonly _owed: number[] = [];

  constructor(private readonly _record: (waitMillis: number) => void) {}

  /** An iteration, or whatever else kept events waiting, took so long. Called inside async hooks: only takes note. */
  addBusy(millis: number): void {
    if (this._lengthCount === this._lengths.length) {
      const longer = new Float64Array(this._lengthCount * 2);
      longer.set(this._lengths);
      this._lengths = longer;
    }
    this._lengths[this._lengthCount++] = millis;
  }

  /** So much time has passed, that of the iterations of {@link addBusy} included. May be less than 0: then a debt. */
  addElapsed(millis: number): void {
    this._elapsedMillis += millis;
  }

  /** Records the waits of all that was noted. What `record` throws is thrown. */
  flush(): void {
    let room = MAX_WAITS_AT_ONCE;
    while (this._owed.length > 0 && room > 0) room = this._recordDown(this._owed.pop() as number, room);
    const count = this._lengthCount;
    this._lengthCount = 0;
    for (let i = 0; i < count; i++) {
      const millis = this._lengths[i] as number;
      const longest = millis - this._offset * STEP_MILLIS;
      this._offset = (this._offset + GOLDEN_RATIO) % 1;
      if (longest <= 0) continue;
      this._planned += Math.ceil(longest / STEP_MILLIS);
      room = this._recordDown(longest, room);
    }
  }

  /** After {@link flush}: records a wait of 0 for each step of the time that no iteration took. */
  flushIdle(): void {
    const due = Math.floor(this._elapsedMillis / STEP_MILLIS);
    for (let room = MAX_WAITS_AT_ONCE; room > 0 && this._planned < due; room--) {
      this._planned++;
      this._record(0);
    }
    // Small numbers stay exact.
    if (this._planned >= due) {
      this._elapsedMillis -= due * STEP_MILLIS;
      this._planned -= due;
    }
  }

  /** @returns how much room is left. */
  private _recordDown(longest: number, room: number): number {
    let wait = longest;
    for (; wait > 0 && room > 0; wait -= STEP_MILLIS, room--) this._record(wait);
    if (wait > 0) this._owed.push(wait);
    return room;
  }
}

/** Gets each stretch of time in which an event would have had to wait. */
export interface DelayListener {
  addBusy(millis: number): void;
  /** Called with each beat: time passes. */
  tick(): void;
}

/**
 * Measures the delay of the loop from beat to beat: how long an event that arrives at a random moment waits before the
 * loop turns to it. Not from how late the beat is: a beat that falls in step with the blocks sees none or all of them.
 */
export class DelayMeter {
  private readonly _sampler: DelaySampler;
  private _time = now();
  private _idleTime = idleTime();
  private _loopCount = hasIterationClock() ? loopCount() : 0;
  private _runningMillis = 0;
  private _beats = 0;
  /** Loading modules is no delay: nothing can arrive yet. */
  private _started = this._idleTime > 0;

  /** @param _also gets what is measured as well. */
  constructor(
    record: (waitMillis: number) => void,
    private readonly _also?: DelayListener,
  ) {
    this._sampler = new DelaySampler(record);
  }

  /** An iteration is over and was busy for {@link MIN_BUSY_MILLIS} or more. Only takes note. */
  addBusy(millis: number): void {
    this._sampler.addBusy(millis);
    this._also?.addBusy(millis);
  }

  /** Records the waits in the iterations that are over. */
  flush(): void {
    this._sampler.flush();
  }

  /**
   * @param dueAfterMillis how long after the last beat this one was due.
   * @param runningMillis how long the iteration that still runs has been busy, where {@link addBusy} is called for each
   * that is over; undefined: they are estimated here.
   */
  beat(lateMillis: number, dueAfterMillis: number, runningMillis: number | undefined): void {
    const time = now();
    const idle = idleTime();
    const idled = idle - this._idleTime;
    const elapsed = time - this._time;
    this._time = time;
    this._idleTime = idle;
    const turns = this._turns();
    if (runningMillis !== undefined) {
      // The iteration that still runs is told when it is over, and its time belongs to it.
      this._sampler.addElapsed(elapsed - runningMillis + this._runningMillis);
      this._runningMillis = runningMillis;
    } else {
      this._runningMillis = 0;
      if (this._started) {
        this._sampler.addElapsed(elapsed);
        this._estimate(Math.max(0, elapsed - idled), lateMillis, turns);
      }
    }
    // The beat ends a poll in time. Where it did not, nobody gave us a core: an event would have waited as well.
    const overslept = idled - dueAfterMillis;
    if (overslept > TIMER_ROUNDING_MILLIS && this._started) this.addBusy(overslept);
    this._started = true;
    this._also?.tick();
    this._sampler.flush();
    // At once on the first beats: with the first value the instruments appear.
    if (++this._beats < BEATS_PER_IDLE_FLUSH || this._beats % BEATS_PER_IDLE_FLUSH === 0) this._sampler.flushIdle();
  }

  private _turns(): number {
    if (!hasIterationClock()) return 1;
    const count = loopCount();
    const turns = count - this._loopCount;
    this._loopCount = count;
    return turns;
  }

  /**
   * Without hooks only the sum of the busy time since the last beat is known, and how often the loop turned. After few
   * turns it was one iteration. After many the last was as long as the beat is late, and the others shared the rest.
   */
  private _estimate(busyMillis: number, lateMillis: number, turns: number): void {
    if (turns <= 2) {
      if (busyMillis >= MIN_BUSY_MILLIS) this.addBusy(busyMillis);
      return;
    }
    const last = Math.min(lateMillis, busyMillis);
    if (last >= MIN_BUSY_MILLIS) this.addBusy(last);
    const others = turns - 1;
    const each = (busyMillis - last) / others;
    if (each >= MIN_BUSY_MILLIS) for (let i = 0; i < others; i++) this.addBusy(each);
  }
}
