// SPDX-License-Identifier: Apache-2.0
import { growTo, restOf } from '../block/part.js';
import type { Block } from '../types.js';
import type { OpenBlock } from './open-block.js';

/**
 * The block that an iteration makes, told of while it still runs wherever a span ends that waited for it: that one is
 * linked to the block span, which from then on is the child of whoever had blocked so far. Where somebody else blocks on,
 * what there was is therefore a block of its own, and another begins: nobody's trace gets what was another's.
 */
export class RunningBlock {
  /** The first of them first; the last may still grow. */
  readonly parts: OpenBlock[] = [];
  private _last: OpenBlock | undefined;
  /** The iteration as it was told last, and as it was where the last part began. */
  private _told: Block | undefined;
  private _before: Block | undefined;

  /**
   * @param whole the iteration so far.
   * @param open makes a block of a part that began so long after the iteration; undefined where it is to be ignored.
   * @returns the block that has grown by what is new.
   */
  tell(whole: Block, open: (part: Block, behindMillis: number) => OpenBlock | undefined): OpenBlock | undefined {
    const last = this._last;
    const grown = last && growTo(last.block, this._partOf(whole));
    if (last && grown) {
      last.block = grown;
    } else {
      if (last) this._before = this._told;
      this._last = this._begin(this._partOf(whole), open);
    }
    this._told = whole;
    return this._last;
  }

  private _begin(
    part: Block,
    open: (part: Block, behindMillis: number) => OpenBlock | undefined,
  ): OpenBlock | undefined {
    // What is left of an iteration need not be a block.
    if (part.shared && part.durationMillis < part.thresholdMillis) return undefined;
    const begun = open(part, this._before?.durationMillis ?? 0);
    if (begun) this.parts.push(begun);
    return begun;
  }

  private _partOf(whole: Block): Block {
    return this._before ? restOf(whole, this._before) : whole;
  }
}
