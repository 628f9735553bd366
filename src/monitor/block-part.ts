// SPDX-License-Identifier: Apache-2.0
import { renamed } from '../block/blame.js';
import { causeOf, hostMillisOf } from '../block/cause.js';
import { withFrames } from '../block/frames.js';
import { findInCode } from '../block/location.js';
import { growTo } from '../block/part.js';
import type { OpenBlock, StackSample } from '../model.js';
import { wallClockOffset } from '../system/clock.js';
import type { Block, StackFrame } from '../types.js';
import type { LateEvidence } from './evidence.js';

/** A block, which is all of an iteration or what somebody else blocked of it, and what was seen of it. */
export class BlockPart implements OpenBlock {
  private _samples: readonly StackSample[] = [];
  private _evidence: LateEvidence | undefined;
  private _callbacks = 0;

  /**
   * @param startMicros when it began, since the stretch of blocks began that it is one of.
   * @param turn its iteration, counted from that of the first of them.
   * @param _callbacksBefore how many callbacks of the iteration had run when it began.
   */
  constructor(
    private _block: Block,
    readonly startMicros: number,
    readonly turn: number,
    private readonly _callbacksBefore: number,
  ) {}

  get block(): Block {
    return this._block;
  }

  get endMicros(): number {
    return this.startMicros + this._block.durationMillis * 1000;
  }

  /** Why it may have been; undefined until something was seen of it. */
  get evidence(): LateEvidence | undefined {
    return this._evidence;
  }

  /** It has become `block`. @returns whether it can have, under the same name. */
  grow(block: Block): boolean {
    const grown = growTo(this._block, block);
    if (grown === undefined) return false;
    this._block = grown;
    return true;
  }

  /** @param callbacks how many of the iteration have run. */
  see(samples: readonly StackSample[], callbacks: number, evidence: LateEvidence): void {
    this._evidence = evidence;
    this._callbacks = callbacks - this._callbacksBefore;
    this.seeLate(samples);
  }

  /** What was seen is told only now. */
  seeLate(samples: readonly StackSample[]): void {
    this._samples = [...this._samples, ...samples];
    this._block = located(this._block, this._samples, this._callbacks);
  }

  /** What was told late, and the spans' names as they are now. */
  conclude(): void {
    const evidence = this._evidence?.get();
    if (evidence === undefined) return;
    const { cpuMillis, gcMillis } = evidence;
    const hostMillis = hostMillisOf(evidence);
    this._block = { ...renamed(this._block), cause: causeOf(evidence), cpuMillis, gcMillis, hostMillis };
  }

  /** `frames` in place of all of its own: see `framesOf`. */
  resolve(frames: readonly StackFrame[]): void {
    this._block = withFrames(this._block, frames);
  }
}

/** `block` where `samples` have seen it. */
export function located(block: Block, samples: readonly StackSample[], callbacks = 0): Block {
  const offset = wallClockOffset();
  const { startTimeMillis, endTimeMillis } = block;
  const times = { startedAt: startTimeMillis - offset, endedAt: endTimeMillis - offset };
  return { ...block, ...findInCode(samples, times, callbacks) };
}
