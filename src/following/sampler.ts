// SPDX-License-Identifier: Apache-2.0
import { context, type Span } from '@opentelemetry/api';

import { type Iteration, LOOK_SHARE, SAMPLE_INTERVAL_MILLIS } from '../model.js';
import { spanOf } from '../otel/span-of.js';
import type { RecorderListener } from '../recorder/recorder.js';
import { Tally, TallyStamp } from '../recorder/span-time.js';
import { idleTime, loopCount, now } from '../system/clock.js';

/** The first beat that is no later than this ends the start of the program. Milliseconds. */
const STARTED_MILLIS = 5;

/**
 * Finds blocks without a single hook: how long the loop was busy is exact between two beats, and whose time it was the
 * looks of the watchdog say. Two in a row that see the same span speak for the time between them. Where they do not
 * agree, each speaks for half of it, and for no more than the time in which there should have been another look: for the
 * rest, where nobody has looked, nobody is accused.
 */
export class Sampler {
  private readonly _nobody = new Tally(undefined);
  /** Who was seen since the last beat. */
  private _tallies: Tally[] = [];
  /** Counts the beats: what a tally's share belongs to. */
  private _period = 0;
  /** Whom the last look since the beat has seen. */
  private _lastTally: Tally | undefined;
  /** Until when it is charged to somebody. */
  private _surelyUntil = now();
  /** What the idle time was then. */
  private _idleUntil = idleTime();
  /** The iteration that most looks since the last beat have found. */
  private _lookCount = 0;
  private _votes = 0;
  /** How long the program has blocked while it starts, under no span. */
  private _startMicros = 0;

  private _beatAt = now();
  private _idleTime = idleTime();
  private _loopCount = loopCount();
  private readonly _thresholdMicros: number;

  private _onNewSpan: ((span: Span) => void) | undefined;

  /** @param _isStarting whether the program still loads its modules, which is no block. */
  constructor(
    thresholdMillis: number,
    private readonly _intervalMillis: number,
    private readonly _listener: RecorderListener,
    private _isStarting: boolean,
  ) {
    this._thresholdMicros = thresholdMillis * 1000;
  }

  /** Calls `onNewSpan` with each span that is seen for the first time; undefined: nobody any more. */
  followSpans(onNewSpan: ((span: Span) => void) | undefined): void {
    this._onNewSpan = onNewSpan;
  }

  /**
   * A look of the watchdog, in the midst of running code.
   *
   * @param askedAt since when it had been due: nothing but one native call can have run since, or it had come sooner.
   */
  look(askedAt: number): void {
    const time = now();
    const span = spanOf(context.active());
    const tally = span === undefined ? this._nobody : this._tallyOf(span);
    this._voteFor(loopCount());
    this._chargeUntil(Math.min(Math.max(askedAt, this._surelyUntil), time), tally);
    this._add(tally, time - this._surelyUntil);
    this._surelyUntil = time;
    this._lastTally = tally;
  }

  /** Nobody has looked since the last time: what ran until `time`, where `tally` was found to run, if anything was. */
  private _chargeUntil(time: number, tally: Tally | undefined): void {
    const idle = idleTime();
    const unseen = Math.max(time - this._surelyUntil - (idle - this._idleUntil), 0);
    this._idleUntil = idle;
    this._surelyUntil = time;
    const last = this._lastTally;
    if (last !== undefined && last === tally) {
      this._add(last, unseen);
      return;
    }
    const most = Math.max(SAMPLE_INTERVAL_MILLIS, (time - this._beatAt) * LOOK_SHARE);
    // The first look comes that much later than the beat should have come.
    const mostOfNext = last === undefined ? this._intervalMillis + SAMPLE_INTERVAL_MILLIS : most;
    const ofLast = last === undefined ? 0 : Math.min(tally === undefined ? unseen : unseen / 2, most);
    const ofNext = tally === undefined ? 0 : Math.min(unseen - ofLast, mostOfNext);
    if (last !== undefined) this._add(last, ofLast);
    if (tally !== undefined) this._add(tally, ofNext);
    this._add(this._nobody, unseen - ofLast - ofNext);
  }

  /** A look that comes late finds another iteration than the block: the one that most looks found is the block. */
  private _voteFor(count: number): void {
    if (count === this._lookCount) {
      this._votes++;
    } else if (this._votes > 0) {
      this._votes--;
    } else {
      this._lookCount = count;
      this._votes = 1;
    }
  }

  /** The loop has turned to its beat, so late. */
  beat(lateMillis: number): void {
    const time = now();
    const idle = idleTime();
    const count = loopCount();
    const busyMillis = time - this._beatAt - (idle - this._idleTime);
    // Where the loop turned in between, only the last iteration was late; it began anywhere between two beats.
    const blockMillis =
      count - this._loopCount <= 1 ? busyMillis : Math.min(lateMillis + this._intervalMillis / 2, busyMillis);
    if (blockMillis * 1000 >= this._thresholdMicros) this._report(blockMillis, time);
    this._beginPeriod(time, idle, count);
    if (this._isStarting && lateMillis < STARTED_MILLIS) this._endStart();
  }

  /** Begins a new period; what ran in the current one was allowed to block. */
  startOver(): void {
    this._beginPeriod(now(), idleTime(), loopCount());
  }

  private _beginPeriod(time: number, idle: number, count: number): void {
    this._beatAt = time;
    this._idleTime = idle;
    this._loopCount = count;
    this._period = (this._period + 1) | 0;
    this._tallies.length = 0;
    this._votes = 0;
    this._lastTally = undefined;
    this._surelyUntil = time;
    this._idleUntil = idle;
  }

  /** Closes the current period as if the loop had turned: at exit. */
  flush(): void {
    this.beat(Math.max(now() - this._beatAt - this._intervalMillis, 0));
    if (this._isStarting) this._endStart();
  }

  get isStarting(): boolean {
    return this._isStarting;
  }

  private _endStart(): void {
    this._isStarting = false;
    this._listener.onStarted(this._startMicros);
  }

  /** `span.end()` was called: whatever is to be written on the span must be written now. */
  endSpan(span: Span): void {
    const tally = TallyStamp.get(span);
    if (tally === undefined || tally.iteration !== this._period) return;
    const isRunning = spanOf(context.active()) === span;
    if (tally === this._lastTally) this._chargeUntil(now(), isRunning ? tally : undefined);
    if (!this._isBlocking(tally)) return;
    this._fitTo(now() - this._beatAt - (idleTime() - this._idleTime));
    if (this._isBlocking(tally)) this._listener.onSpanEnding(tally, span, this._snapshot());
  }

  private _isBlocking(tally: Tally): boolean {
    return tally.iteration === this._period && tally.shareMicros >= this._thresholdMicros;
  }

  /** The block so far, for a span that ends inside it. */
  private _snapshot(): Iteration {
    const busyMicros = this._tallies.reduce((sum, tally) => sum + tally.shareMicros, 0);
    return {
      loopCount: this._lookCount,
      endedAt: now(),
      busyMicros,
      startMicros: 0,
      startTurn: 0,
      shares: [...this._tallies],
      callbacks: 0,
      isExact: false,
    };
  }

  private _report(blockMillis: number, endedAt: number): void {
    this._chargeUntil(endedAt, undefined);
    this._fitTo(blockMillis);
    const busyMicros = Math.round(blockMillis * 1000);
    if (this._isStarting && this._tallies.every(({ span }) => span === undefined)) {
      this._startMicros += busyMicros;
      this._listener.onStartUp(this._lookCount, busyMicros);
      return;
    }
    const loopCount = this._lookCount;
    this._listener.onBusyIteration({
      loopCount,
      endedAt,
      busyMicros,
      startMicros: 0,
      startTurn: 0,
      shares: [...this._tallies],
      callbacks: 0,
      isExact: false,
    });
  }

  /** The loop may have turned in between: then only its last iteration was late, and what was before it is too much. */
  private _fitTo(busyMillis: number): void {
    const total = this._tallies.reduce((sum, tally) => sum + tally.shareMicros, 0);
    const scale = Math.min((busyMillis * 1000) / total, 1);
    for (const tally of this._tallies) tally.shareMicros = Math.round(tally.shareMicros * scale);
  }

  private _tallyOf(span: Span): Tally {
    const tally = TallyStamp.get(span);
    if (tally !== undefined) return tally;
    const fresh = new Tally(span);
    TallyStamp.tie(fresh);
    this._onNewSpan?.(span);
    return fresh;
  }

  private _add(tally: Tally, millis: number): void {
    const micros = Math.round(millis * 1000);
    if (micros <= 0) return;
    if (tally.iteration === this._period) {
      tally.shareMicros += micros;
    } else {
      tally.iteration = this._period;
      tally.shareMicros = micros;
      this._tallies.push(tally);
    }
  }
}
