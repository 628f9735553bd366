// SPDX-License-Identifier: Apache-2.0
import type { RecorderListener } from '../recorder/recorder.js';
import { Tally } from '../recorder/span-time.js';
import type { StartUp } from '../recorder/start-up.js';
import { idleTime, loopCount, now } from '../system/clock.js';
import { type Attribution, halfOfBlock } from './attribution.js';

/** Beats that are no later than this tell how long iterations are usually. Milliseconds. */
const USUALLY_LATE_MILLIS = 2;
/** Of the latest in the average. */
const LATEST_WEIGHT = 0.1;
/** The first beat that is no later than this ends the start of the program. Milliseconds. */
const STARTED_MILLIS = 5;

/**
 * What the beats tell where nothing is followed: how long the loop has been busy, and nothing about whose time it was. A
 * block that nothing else has seen is reported under no span.
 */
export class LateBeats implements Attribution {
  readonly kind = 'none';
  readonly mostLateMillis: number;
  private readonly _nobody = new Tally(undefined);
  private readonly _thresholdMicros: number;
  private _beatAt = 0;
  /** At the last beat. */
  private _beatCount = 0;
  /** When the clocks were read last: at that beat, or at a mark behind it. */
  private _readAt = 0;
  private _idleTime = 0;
  private _loopCount = 0;
  /** How long the loop had been busy by then, since the beat, and in that very iteration. */
  private _sinceBeatMillis = 0;
  private _iterationSoFarMillis = 0;
  /** How long after the last beat the next is due. */
  private _dueAfterMillis: number;
  /** Whether the program still loads its modules, which is no block. */
  private _isStarting = false;
  private _lastBusyMillis = 0;
  /** How long an iteration is that is not late, on average. */
  private _usualMillis = 0;
  /** How long it has blocked meanwhile. */
  private _startMicros = 0;

  /** @param _onStarted called once the program has started. */
  constructor(
    thresholdMillis: number,
    intervalMillis: number,
    private readonly _listener: RecorderListener,
    private readonly _onStarted: () => void,
  ) {
    this.mostLateMillis = halfOfBlock(thresholdMillis);
    this._thresholdMicros = thresholdMillis * 1000;
    this._dueAfterMillis = intervalMillis;
  }

  start(startUp: StartUp | undefined): void {
    this._isStarting = startUp !== undefined;
    this.startOver();
  }

  stop(): void {}

  followBeat(): void {}

  /** How late the next beat is by now; less than 0 where it is not due. Milliseconds. */
  get lateMillis(): number {
    return now() - this._beatAt - this._dueAfterMillis;
  }

  /** How long the iteration that runs has been busy by now, as far as that is known without a hook. Milliseconds. */
  get busyMillis(): number {
    return this._busyMillis(now(), idleTime(), loopCount());
  }

  /** How long the loop was busy between the last two beats. */
  get lastBusyMillis(): number {
    return this._lastBusyMillis;
  }

  /** Of an iteration that is over nobody tells. */
  runningMillis(): undefined {
    return undefined;
  }

  beat(): void {
    const time = now();
    const idle = idleTime();
    const count = loopCount();
    const { lateMillis } = this;
    this._lastBusyMillis = this._sinceBeatMillis + this._millisSinceReading(time, idle);
    if (lateMillis < USUALLY_LATE_MILLIS) {
      const each = this._lastBusyMillis / Math.max(count - this._beatCount, 1);
      this._usualMillis += (each - this._usualMillis) * LATEST_WEIGHT;
    }
    const busyMicros = Math.round(this._busyMillis(time, idle, count) * 1000);
    if (busyMicros >= this._thresholdMicros) this._report(busyMicros, time, count);
    if (this._isStarting && lateMillis < STARTED_MILLIS) this._endStart();
    this._begin(time, idle, count);
  }

  /** The poll of an iteration is over, and what follows may be another one. */
  mark(): void {
    const time = now();
    const idle = idleTime();
    const count = loopCount();
    this._iterationSoFarMillis = this._busyMillis(time, idle, count);
    this._sinceBeatMillis += this._millisSinceReading(time, idle);
    this._read(time, idle, count);
  }

  paceMillis(usual: number): number {
    this._dueAfterMillis = usual;
    return usual;
  }

  look(): void {}

  /** What ran since the last beat is none of our business: it was followed, or allowed to block. */
  startOver(): void {
    this._begin(now(), idleTime(), loopCount());
  }

  allow(): () => void {
    this.flush();
    return () => this.startOver();
  }

  flush(): void {
    this.beat();
    if (this._isStarting) this._endStart();
  }

  /**
   * How long the iteration that runs has been busy. Where the loop has not turned since the clocks were read, it is what it had
   * been by then, and all since; where it turned once, all since; where it turned more often, only the last iteration is
   * late, which began before the beat was due. The others were as long as iterations are when nothing is late.
   */
  private _busyMillis(time: number, idle: number, count: number): number {
    const busyMillis = this._millisSinceReading(time, idle);
    const others = count - this._loopCount - 1;
    if (others < 0) return this._iterationSoFarMillis + busyMillis;
    if (others === 0) return busyMillis;
    const lateMillis = Math.max(time - this._beatAt - this._dueAfterMillis, 0);
    return Math.min(Math.max(busyMillis - others * this._usualMillis, lateMillis), busyMillis);
  }

  /** How long the loop was busy since, in however many iterations. */
  private _millisSinceReading(time: number, idle: number): number {
    return Math.max(time - this._readAt - (idle - this._idleTime), 0);
  }

  private _begin(time: number, idle: number, count: number): void {
    this._beatAt = time;
    this._beatCount = count;
    this._sinceBeatMillis = 0;
    this._iterationSoFarMillis = 0;
    this._read(time, idle, count);
  }

  private _read(time: number, idle: number, count: number): void {
    this._readAt = time;
    this._idleTime = idle;
    this._loopCount = count;
  }

  private _report(busyMicros: number, endedAt: number, loopCount: number): void {
    if (this._isStarting) {
      this._startMicros += busyMicros;
      this._listener.onStartUp(loopCount, busyMicros);
      return;
    }
    this._nobody.shareMicros = busyMicros;
    this._listener.onBusyIteration({
      loopCount,
      endedAt,
      busyMicros,
      startMicros: 0,
      startTurn: 0,
      shares: [this._nobody],
      callbacks: 0,
      isExact: false,
    });
  }

  private _endStart(): void {
    this._isStarting = false;
    this._listener.onStarted(this._startMicros);
    this._onStarted();
  }
}
