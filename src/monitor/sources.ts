// SPDX-License-Identifier: Apache-2.0
import type { StackFrame } from '../types.js';
import { Answers } from './answers.js';

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
export class Sources extends Answers {
  constructor(private readonly _source: StackSource | undefined) {
    super(MAX_MAPPING_MILLIS);
  }

  /** Calls `emit` with `frames` in their sources, or as they are where nobody finds those in time. */
  find(frames: readonly StackFrame[], emit: (frames: readonly StackFrame[]) => void): void {
    const source = this._source;
    if (frames.length === 0 || !source?.canResolve(frames)) {
      emit(frames);
      return;
    }
    source.resolve(
      frames,
      this._await(emit, () => [source.resolveNow(frames)]),
    );
  }
}
