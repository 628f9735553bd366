// SPDX-License-Identifier: Apache-2.0
import { Kinship } from '../block/kinship.js';
import { waitFor } from '../block/stall.js';
import type { SpanShare } from '../model.js';
import { isWritable } from '../otel/span-facts.js';
import type { OpenBlock } from './open-block.js';
import { markStalled } from './spans.js';

/** So many blocks one after the other are remembered: whoever waited for more of them is linked to the last. */
const MAX_BLOCKS = 16;
/** So many spans are marked on one beat; more would themselves be a block. */
const MAX_SPANS = 1_000;

/**
 * Finds the spans that had to wait for a block, and marks them: when they end, or on the next beat.
 * Costs nothing as long as there is no block.
 */
export class Stalls {
  /** Blocks since the loop last waited in poll. */
  private _blocks: OpenBlock[] = [];
  private _stretch = 0;
  /** Tallies of spans that are not yet marked. */
  private readonly _unmarked = new Set<SpanShare>();
  /** Of what ran since the loop last waited. */
  private readonly _kinship = new Kinship();

  constructor(private readonly _thresholdMicros: number) {}

  addBlock(block: OpenBlock): void {
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
  onRanBehind(tally: SpanShare, ranAt: number, ranUntil: number, turn: number): void {
    if (this._blocks.length === 0) return;
    tally.stall ??= { count: 0, sumMicros: 0, isUpperBound: false, stretch: -1, ranUntil: 0, unlinked: [] };
    const { stall } = tally;
    const ranBefore = stall.stretch === this._stretch ? stall.ranUntil : 0;
    stall.stretch = this._stretch;
    stall.ranUntil = ranUntil;
    if (tally.span === undefined) return;
    this._kinship.add(tally.span);
    if (!isWritable(tally.span) || this._unmarked.size >= MAX_SPANS) return;
    let waitedSince: number | undefined;
    for (const block of this._blocks) {
      const since = Math.max(block.startMicros, ranBefore);
      if (Math.min(block.endMicros, ranAt) - since < this._thresholdMicros) continue;
      const wait = waitFor(tally.span, block.block, this._kinship);
      // Of what is in flight, the first poll behind the block gives all that had waited.
      if (wait === 'no' || (wait === 'in flight' && turn > block.turn + 1)) continue;
      if (wait === 'at the door') stall.isUpperBound = true;
      waitedSince ??= since;
      stall.count++;
      stall.unlinked.push(block);
    }
    if (waitedSince === undefined) return;
    stall.sumMicros += ranAt - waitedSince;
    this._unmarked.add(tally);
  }

  /** Marks the span of `tally`, which is about to end, if it waited. */
  mark(tally: SpanShare): void {
    if (!this._unmarked.delete(tally) || tally.span === undefined || tally.stall === undefined) return;
    const { stall } = tally;
    const links = stall.unlinked.flatMap((block) => (block as OpenBlock).spanContext() ?? []);
    stall.unlinked = [];
    markStalled(tally.span, stall, links);
  }

  markAll(): void {
    for (const tally of this._unmarked) this.mark(tally);
  }
}
