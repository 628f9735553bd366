// SPDX-License-Identifier: Apache-2.0
import type { StackSample } from '../model.js';
import { startImmediate, startTimer } from '../system/timers.js';

/** @param pausedMillis how long at most the thread was held up by who looks, and not by the application. */
type OnSeen = (samples: readonly StackSample[], pausedMillis: number) => void;

/** Who sees the blocked thread from outside. */
export interface LateSampler {
  /** Whether what is seen is known only behind the block. */
  readonly isProfiled?: boolean;
  /** What was seen from then to then, on the clock of `now()`. `onSeen` may never be called. */
  seenBetween?(from: number, until: number, onSeen: OnSeen): void;
}

/** A block waits so long for what was seen of it, then it goes out without. Milliseconds. */
const MAX_SEEN_MILLIS = 500;

/** Finds what was seen of a block, where that is known only behind it. */
export class LateSamples {
  /** What gives up on each answer that is still to come. */
  private readonly _waiting = new Set<() => void>();

  constructor(private readonly _sampler: LateSampler | undefined) {}

  /** Whether no answer is to come. */
  get isIdle(): boolean {
    return this._waiting.size === 0;
  }

  /** Calls `emit` with what was seen from then to then; with nothing where that does not come in time. */
  find(from: number, until: number, emit: OnSeen): void {
    if (!this._sampler?.isProfiled || this._sampler.seenBetween === undefined) {
      emit([], 0);
      return;
    }
    const found: OnSeen = (samples, pausedMillis) => {
      if (this._waiting.delete(giveUp)) emit(samples, pausedMillis);
    };
    const giveUp = (): void => found([], 0);
    this._waiting.add(giveUp);
    // See Sources.
    startTimer(() => startImmediate(giveUp).unref(), MAX_SEEN_MILLIS).unref();
    this._sampler.seenBetween(from, until, found);
  }

  /** No answer will come any more. */
  giveUp(): void {
    for (const giveUp of this._waiting) giveUp();
  }
}
