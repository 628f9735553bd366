// SPDX-License-Identifier: Apache-2.0
import type { SentSample } from '../messages.js';

/** Told what was seen, and from when to when it stood, on the watched thread's clock; by itself, since the look before. */
export type OnSample = (sample: SentSample, from?: number, until?: number) => void;

/** How the watched thread is looked at while it blocks. */
export interface Looker {
  /** Whether a look is under way. */
  readonly isLooking: boolean;
  /** For how long it has had no answer; 0 where none is under way, or none could have come. Milliseconds. */
  waitsFor(time: number): number;
  look(onSample: OnSample): void;
  /** Where this thread is about to end. */
  leaveForGood(): void;
}
