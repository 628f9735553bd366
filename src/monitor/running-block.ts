// SPDX-License-Identifier: Apache-2.0
import { restOf } from '../block/part.js';
import type { Block } from '../types.js';
import type { BlockPart } from './block-part.js';

/** Makes a block of a part that began so long, and so many callbacks, after its iteration; undefined: it is ignored. */
type Open = (part: Block, behindMillis: number, callbacksBefore: number) => BlockPart | undefined;

/**
 * The block that an iteration makes, told of while it still runs wherever a span ends that waited for it: that one is
 * linked to the block span, which from then on is the child of whoever had blocked so far. Where somebody else blocks on,
 * what there was is therefore a block of its own, and another begins: nobody's trace gets what was another's.
 */
export class RunningBlock {
  /** The first of them first; the last may still grow. */
  readonly parts: BlockPart[] = [];
  private _last: BlockPart | undefined;
  /** The iteration as it was told last, and as it was where the last part began. */
  private _told: Block | undefined;
  private _before: Block | undefined;
  /** How many callbacks had run when a part was last told of. */
  private _toldCallbacks = 0;

  /**
   * @param whole the iteration so far.
   * @param callbacks how many have run in it.
   * @returns the block that has grown by what is new.
   */
  tell(whole: Block, callbacks: number, open: Open): BlockPart | undefined {
    const last = this._last;
    if (!last?.grow(this._partOf(whole))) {
      if (last) this._before = this._told;
      this._last = this._begin(this._partOf(whole), open);
    }
    this._told = whole;
    if (this._last) this._toldCallbacks = callbacks;
    return this._last;
  }

  private _begin(part: Block, open: Open): BlockPart | undefined {
    // What is left of an iteration need not be a block.
    if (part.shared && part.durationMillis < part.thresholdMillis) return undefined;
    const begun = open(part, this._before?.durationMillis ?? 0, this._toldCallbacks);
    if (begun) this.parts.push(begun);
    return begun;
  }

  private _partOf(whole: Block): Block {
    return this._before ? restOf(whole, this._before) : whole;
  }
}
