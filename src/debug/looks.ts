// SPDX-License-Identifier: Apache-2.0
import { outOfPlumbing } from '../block/plumbing.js';
import type { SampledFrame, StackSample } from '../model.js';
import type { StackFrame } from '../types.js';
import { isForeign } from '../words/code.js';

/** Older than that no block that is still to come can be. */
const MAX_LOOKS = 5_000;

/** A stretch of time, and whether a module was being loaded in it. Milliseconds, on the clock of `now()`. */
interface Stretch {
  readonly from: number;
  readonly until: number;
  readonly isLoading: boolean;
  /** From the first frame of the application outwards. */
  readonly stack: readonly SampledFrame[];
  /** Whose test it was, as far as that is known. */
  readonly test: unknown;
}

/** What of a block was the loading of modules. */
export interface Loading {
  readonly millis: number;
  /** Who asked for what: the outermost that is known; undefined where nobody is. */
  readonly frame: StackFrame | undefined;
}

/** What looks at the blocked thread say of whether it loaded modules, and for which test. */
export class Looks {
  private _stretches: Stretch[] = [];
  private _lastAt = 0;

  /** A look at this time, which stands for what was since the one before, but not since before its beat. */
  add({ stack, from }: StackSample, at: number, isLoading: boolean, test?: unknown): void {
    const since = Math.min(Math.max(this._lastAt, from), at);
    this._lastAt = at;
    this._stretches.push({ from: since, until: at, isLoading, stack, test });
    if (this._stretches.length > MAX_LOOKS) this._stretches = this._stretches.slice(-MAX_LOOKS / 2);
  }

  /** How much of the time from `start` to `end` modules were loaded: as much as of what was seen of it. */
  loadingBetween(start: number, end: number): Loading {
    let seen = 0;
    let loading = 0;
    let longest: { frame: StackFrame; millis: number } | undefined;
    for (const stretch of this._stretches) {
      const millis = overlap(stretch, start, end);
      if (millis <= 0) continue;
      seen += millis;
      if (!stretch.isLoading) continue;
      loading += millis;
      const frame = requirerIn(stretch.stack);
      if (frame !== undefined && millis > (longest?.millis ?? 0)) longest = { frame, millis };
    }
    return { millis: seen > 0 ? ((end - start) * loading) / seen : 0, frame: longest?.frame };
  }

  /** In whose code most of that time was seen; undefined where nobody's was. */
  testBetween(start: number, end: number): unknown {
    const seen = new Map<unknown, number>();
    for (const stretch of this._stretches) {
      const millis = overlap(stretch, start, end);
      if (millis > 0) seen.set(stretch.test, (seen.get(stretch.test) ?? 0) + millis);
    }
    return [...seen].sort(([, a], [, b]) => b - a)[0]?.[0];
  }
}

function overlap({ from, until }: Stretch, start: number, end: number): number {
  return Math.min(until, end) - Math.max(from, start);
}

/** Of those who waited for a module the outermost, which is the application itself where it can be. */
function requirerIn(stack: readonly SampledFrame[]): StackFrame | undefined {
  const waiting = stack.filter(({ loadedModule }) => loadedModule !== undefined);
  const own = waiting.filter((frame) => !isForeign(frame));
  const frame = own.at(-1) ?? waiting.at(-1) ?? outOfPlumbing(stack)[0];
  return frame?.loadedModule === undefined ? undefined : frame;
}
