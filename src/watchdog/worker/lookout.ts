// SPDX-License-Identifier: Apache-2.0
import { Field, type PublishedSpan, Rest, type SharedMemory, Slot } from '../../system/shared-memory.js';
import type { FromWorker, SentSample, WorkerData } from '../messages.js';
import type { HangReporter } from './hang-report.js';
import { HangStacks } from './hang-stacks.js';
import type { Looker } from './looker.js';
import { newFilesWithMap } from './source-maps.js';

/** While a session is open, or the loop is late: how soon we notice that we are to stop. Milliseconds. */
const ALERT_MILLIS = 10;
/** Less than this is nothing but the rounding of timers. Milliseconds. */
const LATE_MILLIS = 3;
/**
 * We were woken so much too late ourselves: it is the machine, and the main thread gets a chance to beat first. One: where
 * the machine has no core to spare for long, each wake is late, and a thread that hangs there is to be seen as well.
 */
const OVERSLEPT_MILLIS = 20;
/**
 * The second look follows the first so soon, and the third the second after twice the time: one alone cannot tell a
 * function that runs from one of many that take turns, and most blocks are short. Milliseconds.
 */
const SECOND_LOOK_MILLIS = 5;
/** The longer a block has lasted, the less often it is looked at: each time after this part of it. */
const LOOK_SHARE = 0.02;
/** While the program starts looks are no closer to each other. Milliseconds. */
const STARTING_LOOK_MILLIS = 20;
/** How often a look that found no code of the application is repeated at once. */
const MAX_REPEATS = 5;
/** A look that waits so long for its answer is held up by native code. Milliseconds. */
const STUCK_MILLIS = 100;
/**
 * In a loop of native calls each look is held up, and what the last one saw still holds. Of one that waits so many times
 * longer than any before, nobody knows what it waits for.
 */
const MOST_TIMES_LONGER = 2;
/** Of the hang threshold: a block that lasts so long may become a hang, and what it takes to report one is loaded. */
const PREPARE_PART = 0.5;
/** Hang reports go out at the threshold, at twice the time, four times and so on, but at least so often. Milliseconds. */
const MAX_REPORT_INTERVAL_MILLIS = 300_000;
/** While the loop is at rest this thread waits for its end, but sees to its messages, and to the beat, so often. Milliseconds. */
const MAX_REST_MILLIS = 1_000;
/** So many sleeps in a row block this thread; then its event loop gets a turn, whatever it may want to do. */
const MAX_DOZES = 32;

/** Watches the beat of the main thread. While that comes in time there is nothing to do but to sleep until the next. */
export class Lookout {
  /** The beat that was last seen: a new one is the end of what was going on. */
  private _beatAt = -1;
  /** When what goes on now began, as far as is known: at that beat, or when the program had started. */
  private _sinceAt = 0;
  private _wasStarting = false;
  /** How long this thread was awake and saw no beat. Not the wall time: the whole process may have been stopped. */
  private _silentMillis = 0;
  /** How long the main thread had waited for a core when that beat was seen. */
  private _queuedMillis = 0;
  private _lastLookAt = 0;
  /** How often it was looked at since that beat. */
  private _looks = 0;
  private readonly _stacks = new HangStacks();
  /** When a look was last answered. */
  private _answeredAt = 0;
  /** For how long a look has waited for its answer, at the most, since the beat. */
  private _longestWaitMillis = 0;
  private _nextReportMillis = 0;
  /** Whether the main thread has had its chance. */
  private _hasWaited = false;
  private _wokenAt: number;
  private _wakeAt: number;
  /** Hang reports that are under way. */
  private _reports = 0;
  /** The main thread has made its beats rare, and is still to be told that the rest is over. */
  private _owesAwake = false;
  /** The beat at rest after which none came: something goes on that no hook has announced. */
  private _lastBeatAt = -1;
  /** How many messages there were when the event loop last had a turn. */
  private _messages = -1;
  private _dozes = 0;

  constructor(
    private readonly _data: WorkerData,
    private readonly _memory: SharedMemory,
    private readonly _now: () => number,
    /** For how long the watched thread was ready to run and had no core, so far. */
    private readonly _watchedQueuedMillis: () => number,
    private readonly _looker: Looker,
    private readonly _reporter: HangReporter,
    private readonly _tell: (message: FromWorker) => void,
  ) {
    this._wokenAt = _now();
    this._wakeAt = this._wokenAt;
  }

  start(): void {
    this._sleep(this._now(), 0);
  }

  /** `awakeSince`: the process may be stopped in the midst of a look as well, which takes milliseconds. */
  private _sleep(awakeSince: number, millis: number): false {
    this._wakeAt = awakeSince + millis;
    setTimeout(() => this._run(), Math.max(this._wakeAt - this._now(), 0));
    return false;
  }

  /** While all is well: blocks the thread, which takes a third of what it takes to wake its event loop. */
  private _doze(awakeSince: number, millis: number): boolean {
    const { slots } = this._memory;
    this._dozes++;
    const mayBlock = this._isIdle() && this._dozes % MAX_DOZES !== 0;
    if (mayBlock && Atomics.wait(slots, Slot.Messages, this._messages, millis) === 'timed-out') {
      this._wakeAt = awakeSince + millis;
      return true;
    }
    this._messages = Atomics.load(slots, Slot.Messages);
    return this._sleep(awakeSince, millis);
  }

  private _run(): void {
    while (this._wake());
  }

  /** @returns whether it has slept already, and is to wake again. */
  private _wake(): boolean {
    const { slots, fields } = this._memory;
    if (Atomics.load(slots, Slot.Stop) === 1) {
      this._looker.leaveForGood();
      return false;
    }
    // Ahead of the beat, which the main thread writes first: where this is over, the beat is a new one.
    const isExcused = Atomics.load(slots, Slot.Allowed) > 0 || Atomics.load(slots, Slot.Debugged) === 1;
    if (
      !isExcused &&
      this._mayRest() &&
      Atomics.compareExchange(slots, Slot.Resting, Rest.Begun, Rest.Noticed) !== Rest.Over
    ) {
      return this._rest();
    }
    this._tellAwake();
    const time = this._now();
    const lateMillis = time - this._wakeAt;
    this._addLate(lateMillis);
    fields[Field.WorkerWokeAt] = time;
    const overslept = lateMillis > OVERSLEPT_MILLIS;
    const beatAt = fields[Field.BeatAt] as number;
    const hasStarted = this._wasStarting && !this._isStarting();
    this._wasStarting = this._isStarting();
    if (beatAt !== this._beatAt || hasStarted) this._startOver(beatAt, time, hasStarted);
    else this._silentMillis += Math.min(time, this._wakeAt + OVERSLEPT_MILLIS) - this._wokenAt;
    this._wokenAt = time;

    if (isExcused) return this._doze(time, this._lookAfterMillis());
    let untilLookMillis = this._lookAfterMillis() - (time - beatAt);
    // A thread that has no core has no time either in which to block, and to be looked at takes some of it.
    if (untilLookMillis <= 0) untilLookMillis += this._watchedQueuedMillis() - this._queuedMillis;
    // The next beat may come by then. If it does, there is a later moment to wait for, and so on.
    if (untilLookMillis > 0) return this._doze(time, Math.max(untilLookMillis, 1));
    const waits = overslept && !this._hasWaited;
    this._hasWaited = waits;
    if (!waits) this._whileSilent(time);
    return this._sleep(this._prepare(time), Math.min(this._lookIntervalMillis(), ALERT_MILLIS));
  }

  /** Whether nothing is under way in this thread that would have to wait. */
  private _isIdle(): boolean {
    return this._reports === 0 && !this._looker.isLooking;
  }

  private _mayRest(): boolean {
    return this._memory.fields[Field.BeatAt] !== this._lastBeatAt && this._isIdle();
  }

  private _rest(): false {
    const { slots, fields } = this._memory;
    const beatAt = fields[Field.BeatAt] as number;
    // Longer than it takes from beat to beat.
    const mostMillis = Math.max(MAX_REST_MILLIS, 2 * this._lookAfterMillis());
    const from = this._now();
    this._owesAwake = true;
    const outcome = Atomics.wait(slots, Slot.Resting, Rest.Noticed, mostMillis);
    const time = this._now();
    let lateMillis = 0;
    if (outcome !== 'timed-out') {
      lateMillis = Math.max(time - (fields[Field.BeatAt] as number), 0);
      this._tellAwake();
    } else if (fields[Field.BeatAt] === beatAt && time - from < mostMillis + OVERSLEPT_MILLIS) {
      this._lastBeatAt = beatAt;
    }
    this._addLate(lateMillis);
    this._wokenAt = time;
    // The main thread may be late as well, and gets a chance to beat first.
    return this._sleep(time, lateMillis > OVERSLEPT_MILLIS ? ALERT_MILLIS : 0);
  }

  private _tellAwake(): void {
    if (!this._owesAwake || Atomics.load(this._memory.slots, Slot.Resting) !== Rest.Over) return;
    this._owesAwake = false;
    this._tell({ type: 'awake' });
  }

  private _addLate(millis: number): void {
    if (millis <= LATE_MILLIS) return;
    const { fields } = this._memory;
    fields[Field.WorkerLateMillis] = (fields[Field.WorkerLateMillis] as number) + millis;
  }

  /** @param hasStarted whether the start-up is over, which is told apart: what goes on now began only then. */
  private _startOver(beatAt: number, time: number, hasStarted: boolean): void {
    this._beatAt = beatAt;
    this._sinceAt = hasStarted ? Math.max(beatAt, this._wokenAt) : beatAt;
    this._queuedMillis = this._watchedQueuedMillis();
    this._silentMillis = Math.max(Math.min(time - this._sinceAt, this._wakeAt + OVERSLEPT_MILLIS - this._wokenAt), 0);
    this._lastLookAt = 0;
    this._looks = 0;
    this._stacks.clear();
    this._answeredAt = this._sinceAt;
    this._longestWaitMillis = 0;
    this._nextReportMillis = this._data.hangThresholdMillis;
  }

  private _whileSilent(time: number): void {
    const sinceLook = time - this._lastLookAt;
    if (this._data.mayLook && sinceLook >= this._lookIntervalMillis() - 1) {
      this._lastLookAt = time;
      this._looks++;
      this._look(MAX_REPEATS);
    }
    if (this._data.hangThresholdMillis > 0 && this._hungMillis() >= this._nextReportMillis) this._reportHang(time);
  }

  /** On a machine that has no core for it, to load modules takes far longer than it does; that is no hang. */
  private _hungMillis(): number {
    const queuedMillis = this._isStarting() ? this._watchedQueuedMillis() - this._queuedMillis : 0;
    return this._silentMillis - queuedMillis;
  }

  private _isStarting(): boolean {
    return Atomics.load(this._memory.slots, Slot.Starting) === 1;
  }

  private _lookIntervalMillis(): number {
    // Modules are loaded deep on the stack, and each look costs.
    const lookIntervalMillis = this._isStarting()
      ? Math.max(this._data.lookIntervalMillis, STARTING_LOOK_MILLIS)
      : this._data.lookIntervalMillis;
    const soon = this._looks === 0 ? lookIntervalMillis : SECOND_LOOK_MILLIS * this._looks;
    return Math.max(Math.min(soon, lookIntervalMillis), this._silentMillis * LOOK_SHARE);
  }

  private _lookAfterMillis(): number {
    return this._memory.fields[Field.LookAfterMillis] as number;
  }

  private _look(repeats: number): void {
    const beatAt = this._beatAt;
    const askedAt = this._now();
    this._looker.look((sample, from = this._answeredAt, until = this._now()) => {
      if (sample.sdk) this._reporter.learn(sample.sdk);
      const files = newFilesWithMap(sample.frames);
      if (files.length > 0) this._tell({ type: 'mappable', files });
      if (beatAt !== this._memory.fields[Field.BeatAt]) return;
      this._longestWaitMillis = Math.max(this._longestWaitMillis, this._now() - askedAt);
      this._stacks.add(sample, from, until);
      this._answeredAt = until;
      if (sample.frames.length === 0 && repeats > 0) setTimeout(() => this._look(repeats - 1), 1);
    });
  }

  /**
   * Loads what reporting a hang takes, one thing at a time: 110 ms of a core and 17 to 21 MB in all, which a process that
   * never blocks for long is spared.
   *
   * @returns the time: what this took is no lateness of ours.
   */
  private _prepare(time: number): number {
    const { hangThresholdMillis } = this._data;
    if (hangThresholdMillis === 0 || this._hungMillis() < hangThresholdMillis * PREPARE_PART) return time;
    return this._reporter.prepare() ? this._now() : time;
  }

  /** What the last look saw, if that can still be what goes on. */
  private _sampleAt(time: number, running: PublishedSpan | undefined): SentSample | undefined {
    const waits = this._looker.waitsFor(time);
    if (waits <= STUCK_MILLIS) return this._stacks.last;
    // Stuck in native code it cannot answer a look, and what an earlier one saw is over.
    if (waits > this._longestWaitMillis * MOST_TIMES_LONGER) return undefined;
    return this._stacks.last?.span?.spanId === running?.spanId ? this._stacks.last : undefined;
  }

  private _reportHang(time: number): void {
    const isStarting = this._isStarting();
    this._nextReportMillis += Math.min(this._silentMillis, MAX_REPORT_INTERVAL_MILLIS);
    const startedAt = Date.now() - (time - this._sinceAt);
    const running = this._memory.runningSpan();
    const sample = this._sampleAt(time, running);
    const location = sample && this._stacks.location();
    const report = this._reporter.report({ startedAt, sample, location, running, isStarting });
    // An unhandled rejection in this thread, while a look is under way, has been seen to abort the whole process.
    const next = (): void => {
      this._reports--;
      // To start anew what takes long to start would be to start for ever.
      if (this._data.hangAction === 'abort' && !isStarting) abort();
    };
    this._reports++;
    report.then(next, next);
  }
}

/** Ends the process with a signal that its supervisor can see: the stuck thread could not run any handler. */
function abort(): void {
  process.kill(process.pid, 'SIGABRT');
  // Where the application listens to it, SIGABRT waits for the stuck thread as well.
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), 500);
}
