// SPDX-License-Identifier: Apache-2.0
import { startImmediate, startTimer } from '../system/timers.js';
import type { StackFrame } from '../types.js';

/** Who sees the blocked thread from outside. */
export interface StackSource {
  /** Whether more can be known of a stack: its sources, or the module that it loads. */
  canResolve(frames: readonly StackFrame[]): boolean;
  /** `onResolved` may never be called. */
  resolve(frames: readonly StackFrame[], onResolved: (frames: readonly StackFrame[]) => void): void;
  /** What is known without an answer. */
  resolveNow(frames: readonly StackFrame[]): readonly StackFrame[];
}

/** A block waits so long for its stack to be mapped to the sources, then it goes out as it is. Milliseconds. */
const MAX_MAPPING_MILLIS = 1_000;

/** Finds where frames stand in their sources. */
export class Sources {
  /** What gives up on each answer that is still to come. */
  private readonly _waiting = new Set<() => void>();

  constructor(private readonly _source: StackSource | undefined) {}

  /** Whether no answer is to come. */
  get isIdle(): boolean {
    return this._waiting.size === 0;
  }

  /** Calls `emit` with `frames` in their sources, or as they are where nobody finds those in time. */
  find(frames: readonly StackFrame[], emit: (frames: readonly StackFrame[]) => void): void {
    const source = this._source;
    if (frames.length === 0 || !source?.canResolve(frames)) {
      emit(frames);
      return;
    }
    const found = (resolved: readonly StackFrame[]): void => {
      if (this._waiting.delete(giveUp)) emit(resolved);
    };
    const giveUp = (): void => found(source.resolveNow(frames));
    this._waiting.add(giveUp);
    // Behind another long block the timer runs ahead of an answer that has been there for long, which the poll brings.
    startTimer(() => startImmediate(giveUp).unref(), MAX_MAPPING_MILLIS).unref();
    source.resolve(frames, found);
  }

  /** No answer will come any more. */
  giveUp(): void {
    for (const giveUp of this._waiting) giveUp();
  }
}
