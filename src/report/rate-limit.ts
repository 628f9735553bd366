// SPDX-License-Identifier: Apache-2.0
import { now } from '../system/clock.js';

const MINUTE_MILLIS = 60_000;

/** Lets through so many blocks a minute and counts the rest. */
export class RateLimit {
  private _windowStart = Number.NEGATIVE_INFINITY;
  private _passed = 0;
  private _suppressed = 0;

  constructor(
    private readonly _perMinute: number,
    private readonly _clock: () => number = now,
  ) {}

  /** How many were suppressed since the last one that passed, where this one may pass; else undefined. */
  pass(): number | undefined {
    const time = this._clock();
    if (time - this._windowStart >= MINUTE_MILLIS) {
      this._windowStart = time;
      this._passed = 0;
    }
    if (this._passed >= this._perMinute) {
      this._suppressed++;
      return undefined;
    }
    this._passed++;
    const suppressed = this._suppressed;
    this._suppressed = 0;
    return suppressed;
  }
}
