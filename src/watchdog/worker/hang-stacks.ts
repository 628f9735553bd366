// SPDX-License-Identifier: Apache-2.0
import { locate } from '../../block/location.js';
import { outOfPlumbing } from '../../block/plumbing.js';
import type { StackSample } from '../../model.js';
import type { CodeLocation } from '../../types.js';
import type { SentSample } from '../messages.js';

/** The last so many are at least half of the time that a hang has lasted: each comes after 2 % of it. */
const MAX_STACKS = 50;

/** The stacks that were seen of what hangs: where it is is told as of a block, by what most of them share. */
export class HangStacks {
  private readonly _samples: StackSample[] = [];
  private _last: SentSample | undefined;

  /** What the last look saw, between no two callbacks. */
  get last(): SentSample | undefined {
    return this._last;
  }

  /** @param from when the look before was answered, and this one. Milliseconds. */
  add(sample: SentSample, from: number, until: number): void {
    const { frames, accuracy, isCut, outer = [], span } = sample;
    if (span?.spanId !== this._last?.span?.spanId) this._samples.length = 0;
    // Between two callbacks there is nothing to see.
    else if (frames.length === 0) return;
    this._last = sample;
    if (frames.length === 0) return;
    if (this._samples.length >= MAX_STACKS) this._samples.shift();
    const isCertain = accuracy === 'after';
    this._samples.push({ loopCount: 0, callback: 0, stack: frames, isCut, outer, isCertain, accuracy, from, until });
  }

  clear(): void {
    this._samples.length = 0;
    this._last = undefined;
  }

  /** Undefined where no code was seen in the span that runs. */
  location(): CodeLocation | undefined {
    const location = locate(this._samples);
    if (location !== undefined || this._last === undefined) return location;
    const stack = outOfPlumbing(this._last.frames);
    const [frame] = stack;
    return frame && { frame, stack, accuracy: this._last.accuracy, share: 1 };
  }
}
