// SPDX-License-Identifier: Apache-2.0
import type { OnSeen } from '../model.js';
import { Answers } from './answers.js';

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
export class LateSamples extends Answers {
  constructor(private readonly _sampler: LateSampler | undefined) {
    super(MAX_SEEN_MILLIS);
  }

  /** Calls `emit` with what was seen from then to then; with nothing where that does not come in time. */
  find(from: number, until: number, emit: OnSeen): void {
    if (!this._sampler?.isProfiled || this._sampler.seenBetween === undefined) {
      emit([], 0);
      return;
    }
    this._sampler.seenBetween(
      from,
      until,
      this._await<Parameters<OnSeen>>(emit, () => [[], 0]),
    );
  }
}
