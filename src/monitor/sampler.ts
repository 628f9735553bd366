// SPDX-License-Identifier: Apache-2.0
import { type Span, trace } from '@opentelemetry/api';
import type { BusyIteration, RecorderListener } from '../recorder/recorder.js';
import { Tally, TallyStamp } from '../recorder/span-time.js';
import { idleTime, loopCount, now } from '../system/clock.js';

/** The first beat that is no later than this ends the start of the program. Milliseconds. */
const STARTED_MILLIS = 5;

/**
 * Finds blocks without a single hook: how long the loop was busy is exact between two beats, and whose time it was the
 * looks of the watchdog say, each for the time since the one before.
 */
export class Sampler {
  readonly isExact = false;
  private readonly _nobody = new Tally(undefined);
  /** Who was seen since the last beat. */
  private _tallies: Tally[] = [];
  /** Counts the beats: what a tally's share belongs to. */
  private _period = 0;
  private _lastTally: Tally = this._nobody;
  private _lastLookAt = 0;
  /** The iteration that most looks since the last beat have found. */
  private _lookCount = 0;
  private _votes = 0;

  private _beatAt = now();
  private _idleTime = idleTime();
  private _loopCount = loopCount();
  private readonly _thresholdMicros: number;

  /** Called with each span that is seen for the first time; set by the span tap. */
  onNewSpan: (span: Span) => void = () => {};

  /** @param _isStarting whether the program still loads its modules, which is no block. */
  constructor(
    thresholdMillis: number,
    private readonly _intervalMillis: number,
    private readonly _listener: RecorderListener,
    private _isStarting: boolean,
  ) {
    this._thresholdMicros = thresholdMillis * 1000;
  }

  /** A look of the watchdog, in the midst of running code. */
  look(): void {
    const time = now();
    const span = trace.getActiveSpan();
    const tally = span === undefined ? this._nobody : this._tallyOf(span);
    this._lastTally = tally;
    this._voteFor(loopCount());
    this._add(tally, time - Math.max(this._lastLookAt, this._beatAt));
    this._lastLookAt = time;
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
    this._beatAt = time;
    this._idleTime = idle;
    this._loopCount = count;
    this._period = (this._period + 1) | 0;
    this._tallies.length = 0;
    this._votes = 0;
    this._lastTally = this._nobody;
    if (lateMillis < STARTED_MILLIS) this._isStarting = false;
  }

  /** Begins a new period; what ran in the current one was allowed to block. */
  startOver(): void {
    this._beatAt = now();
    this._idleTime = idleTime();
    this._loopCount = loopCount();
    this._period = (this._period + 1) | 0;
    this._tallies.length = 0;
    this._votes = 0;
    this._lastTally = this._nobody;
  }

  /** Closes the current period as if the loop had turned: at exit. */
  flush(): void {
    this.beat(Math.max(now() - this._beatAt - this._intervalMillis, 0));
  }

  /** `span.end()` was called: whatever is to be written on the span must be written now. */
  endSpan(span: Span): void {
    const tally = TallyStamp.get(span);
    if (tally === undefined || tally.iteration !== this._period) return;
    if (tally === this._lastTally) {
      const time = now();
      this._add(tally, time - this._lastLookAt);
      this._lastLookAt = time;
    }
    if (!this.isBlocking(tally)) return;
    this._fitTo(now() - this._beatAt - (idleTime() - this._idleTime));
    if (this.isBlocking(tally)) this._listener.onSpanEnding(tally, span);
  }

  isBlocking(tally: Tally): boolean {
    return tally.iteration === this._period && tally.shareMicros >= this._thresholdMicros;
  }

  /** The block so far, for a span that ends inside it. */
  snapshot(): BusyIteration {
    const busyMicros = this._tallies.reduce((sum, tally) => sum + tally.shareMicros, 0);
    return {
      loopCount: this._lookCount,
      endedAt: now(),
      busyMicros,
      startMicros: 0,
      startTurn: 0,
      tallies: [...this._tallies],
    };
  }

  private _report(blockMillis: number, endedAt: number): void {
    // From the last look on nobody has looked; a block that nobody has seen is nobody's.
    const seen = this._tallies.length > 0;
    this._add(this._lastTally, seen ? endedAt - this._lastLookAt : blockMillis);
    this._fitTo(blockMillis);
    const busyMicros = Math.round(blockMillis * 1000);
    if (this._isStarting && this._tallies.every(({ span }) => span === undefined)) return;
    const tallies = [...this._tallies];
    const loopCount = this._lookCount;
    this._listener.onBusyIteration({ loopCount, endedAt, busyMicros, startMicros: 0, startTurn: 0, tallies });
  }

  /** The first look stands for all that was before it since the beat, also for what was idle time. */
  private _fitTo(busyMillis: number): void {
    const total = this._tallies.reduce((sum, tally) => sum + tally.shareMicros, 0);
    const scale = (busyMillis * 1000) / total;
    for (const tally of this._tallies) tally.shareMicros = Math.round(tally.shareMicros * scale);
  }

  private _tallyOf(span: Span): Tally {
    const tally = TallyStamp.get(span);
    if (tally !== undefined) return tally;
    const fresh = new Tally(span);
    TallyStamp.tie(fresh);
    this.onNewSpan(span);
    return fresh;
  }

  private _add(tally: Tally, millis: number): void {
    const micros = Math.max(Math.round(millis * 1000), 1);
    if (tally.iteration === this._period) {
      tally.shareMicros += micros;
    } else {
      tally.iteration = this._period;
      tally.shareMicros = micros;
      this._tallies.push(tally);
    }
  }
}
