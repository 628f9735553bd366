// SPDX-License-Identifier: Apache-2.0
import { now } from '../system/clock.js';
import type { Block } from '../types.js';

const MINUTE_MILLIS = 60_000;
/** Of so many culprits it is kept who they are; the others are one. */
const MAX_CULPRITS = 1_000;
const OTHERS = '(others)';

/** What was held back since the last block that passed. */
export interface Suppressed {
  readonly count: number;
  /** Of whom, and how many, most first. */
  readonly culprits: readonly (readonly [culprit: string, count: number])[];
}

/**
 * Lets through so many blocks a minute, and counts the rest. Of one culprit it lets through no more than are left for the
 * others: half of them in a storm of one, a quarter more of a second, and so on, so that there is room for a rare one.
 */
export class RateLimit {
  private _windowStart = Number.NEGATIVE_INFINITY;
  private _passed = 0;
  private readonly _passedBy = new Map<string, number>();
  private _suppressed = 0;
  private readonly _suppressedBy = new Map<string, number>();

  constructor(
    private readonly _perMinute: number,
    private readonly _clock: () => number = now,
  ) {}

  /** What was suppressed since the last one that passed, where this one may pass; else undefined. */
  pass(culprit: string): Suppressed | undefined {
    const time = this._clock();
    if (time - this._windowStart >= MINUTE_MILLIS) {
      this._windowStart = time;
      this._passed = 0;
      this._passedBy.clear();
    }
    const left = this._perMinute - this._passed;
    if ((this._passedBy.get(keyIn(this._passedBy, culprit)) ?? 0) >= left) {
      this._suppressed++;
      increase(this._suppressedBy, culprit);
      return undefined;
    }
    this._passed++;
    increase(this._passedBy, culprit);
    const suppressed = {
      count: this._suppressed,
      culprits: [...this._suppressedBy].sort(([, a], [, b]) => b - a),
    };
    this._suppressed = 0;
    this._suppressedBy.clear();
    return suppressed;
  }
}

function increase(counts: Map<string, number>, culprit: string): void {
  const key = keyIn(counts, culprit);
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function keyIn(counts: ReadonlyMap<string, number>, culprit: string): string {
  return counts.has(culprit) || counts.size < MAX_CULPRITS ? culprit : OTHERS;
}

/** `GET /report in buildReport`: the blamed span, and the function as far as it is known. */
export function culpritOf({ blamed, location }: Block): string {
  const name = blamed[0]?.name ?? '';
  return location ? `${name} in ${location.frame.functionName}` : name;
}
