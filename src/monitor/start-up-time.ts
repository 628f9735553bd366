// SPDX-License-Identifier: Apache-2.0
import { locate } from '../block/location.js';
import type { StackSample } from '../model.js';
import type { StartUpTime } from '../types.js';

/** A start-up that was seen nowhere in the code is only worth a line where it took so long. Milliseconds. */
const ALWAYS_TOLD_MILLIS = 1_000;

/**
 * What the start of the program took, gathered piece by piece: it is no block, because nobody could have waited for it,
 * but a person who waits for the program wants to know.
 */
export class StartUpTimes {
  private readonly _samples: StackSample[] = [];
  /** How much of it has been told. */
  private _toldMicros = 0;
  private _due: StartUpTime | undefined;

  constructor(private readonly _thresholdMillis: number) {}

  addSamples(samples: readonly StackSample[]): void {
    this._samples.push(...samples);
  }

  /** The program has started, or waits for something: so much it has taken so far. */
  started(micros: number): void {
    const newMicros = micros - this._toldMicros;
    if (newMicros < this._thresholdMillis * 1000) return;
    this._toldMicros = micros;
    const time = this._sum(newMicros);
    if (time.location !== undefined || time.durationMillis >= ALWAYS_TOLD_MILLIS) this._due = time;
  }

  /** What is to be told, once. */
  take(): StartUpTime | undefined {
    const due = this._due;
    this._due = undefined;
    return due;
  }

  /** What is known by now; no place where less than half of the time was seen. */
  private _sum(micros: number): StartUpTime {
    const durationMillis = micros / 1000;
    const seenMillis = this._samples.reduce((sum, { from, until }) => sum + until - from, 0);
    const location = seenMillis >= durationMillis / 2 ? locate(this._samples) : undefined;
    this._samples.length = 0;
    return { durationMillis, location };
  }
}
