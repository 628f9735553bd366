// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { Kinship } from '../block/kinship.js';
import { waitFor } from '../block/stall.js';
import type { OpenBlock, SpanShare, StallRecord } from '../model.js';
import { isWritable } from '../otel/span-facts.js';
import type { BlockPart } from './block-part.js';

/** So many blocks one after the other are remembered: whoever waited for more of them is linked to the last. */
const MAX_BLOCKS = 16;
/** So many spans are marked on one beat; more would themselves be a block. */
const MAX_SPANS = 1_000;

/** Who marks them. */
export interface StallListener {
  /** The span had to wait, for `blocks` since it was last told of. */
  onStalled(span: Span, stall: StallRecord, blocks: readonly OpenBlock[]): void;
}

/**
 * Finds the spans that had to wait for a block, and has them marked: when they end, or on the next beat.
 * Costs nothing as long as there is no block.
 */
export class Stalls {
  /** Blocks since the loop last waited in poll. */
  private _blocks: BlockPart[] = [];
  private _stretch = 0;
  /** Of spans that are not yet marked. */
  private readonly _unmarked = new Set<SpanShare>();
  /** Of what ran since the loop last waited. */
  private readonly _kinship = new Kinship();

  constructor(
    private readonly _thresholdMicros: number,
    private readonly _listener: StallListener,
  ) {}

  addBlock(block: BlockPart): void {
    this._blocks.push(block);
    if (this._blocks.length > MAX_BLOCKS) this._blocks.shift();
    for (const { span } of block.block.shares) if (span) this._kinship.add(span);
  }

  onCaughtUp(): void {
    this._blocks = [];
    this._kinship.clear();
    this._stretch++;
  }

  /** See `BacklogListener`. */
  onRanBehind(share: SpanShare, ranAt: number, ranUntil: number, turn: number): void {
    if (this._blocks.length === 0) return;
    share.stall ??= { count: 0, sumMicros: 0, isUpperBound: false, stretch: -1, ranUntil: 0, unlinked: [] };
    const { stall } = share;
    const ranBefore = stall.stretch === this._stretch ? stall.ranUntil : 0;
    stall.stretch = this._stretch;
    stall.ranUntil = ranUntil;
    if (share.span === undefined) return;
    this._kinship.add(share.span);
    if (!isWritable(share.span) || this._unmarked.size >= MAX_SPANS) return;
    let waitedSince: number | undefined;
    for (const block of this._blocks) {
      const since = Math.max(block.startMicros, ranBefore);
      if (Math.min(block.endMicros, ranAt) - since < this._thresholdMicros) continue;
      const wait = waitFor(share.span, block.block, this._kinship);
      // Of what is in flight, the first poll behind the block gives all that had waited.
      if (wait === 'no' || (wait === 'in flight' && turn > block.turn + 1)) continue;
      if (wait === 'at the door') stall.isUpperBound = true;
      waitedSince ??= since;
      stall.count++;
      stall.unlinked.push(block);
    }
    if (waitedSince === undefined) return;
    stall.sumMicros += ranAt - waitedSince;
    this._unmarked.add(share);
  }

  /** Marks the span of `share`, which is about to end, if it waited. */
  mark(share: SpanShare): void {
    if (!this._unmarked.delete(share) || share.span === undefined || share.stall === undefined) return;
    const { stall } = share;
    const blocks = stall.unlinked;
    stall.unlinked = [];
    this._listener.onStalled(share.span, stall, blocks);
  }

  markAll(): void {
    for (const share of this._unmarked) this.mark(share);
  }
}
