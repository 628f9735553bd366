// SPDX-License-Identifier: Apache-2.0
import type { Block, BlockShare } from '../types.js';
import { judge, withEntry } from './blame.js';

/** A share like the largest: such a part of it. Which of several is the largest is then a matter of microseconds. */
const ALIKE = 0.8;

/** What of the iteration `whole` came behind its part `before`, which began with it, as a block of its own. */
export function restOf(whole: Block, before: Block): Block {
  const earlier = new Map(before.shares.map(({ span, durationMillis }) => [span, durationMillis]));
  const shares = whole.shares
    .map((share) => ({ ...share, durationMillis: share.durationMillis - (earlier.get(share.span) ?? 0) }))
    .filter((share) => share.durationMillis > 0)
    .sort((a, b) => b.durationMillis - a.durationMillis);
  const verdict = judge(shares, whole.thresholdMillis);
  // Who reached the threshold in the iteration need not have done so in either part.
  const alone = shares.filter((share) => whole.blamed.some((blamed) => isSame(share, blamed)));
  return withEntry({
    ...whole,
    startTimeMillis: before.endTimeMillis,
    durationMillis: whole.durationMillis - before.durationMillis,
    shares,
    approximate: false,
    ...(verdict.shared && !whole.shared && alone.length > 0 ? { shared: false, blamed: alone } : verdict),
  });
}

/**
 * `block`, to which others are linked already, has grown to `whole`, which is blamed on others perhaps.
 *
 * @returns `whole`, blamed on the same span first; undefined where that would be a wrong name.
 */
export function growTo(block: Block, whole: Block): Block | undefined {
  const [first] = block.blamed;
  const [largest] = whole.blamed;
  if (first === undefined || largest === undefined || isSame(first, largest)) return whole;
  const share = (whole.shared ? whole.shares : whole.blamed).find((other) => isSame(first, other));
  if (share === undefined) return undefined;
  const isAlike = share.durationMillis >= ALIKE * largest.durationMillis;
  const canPart = whole.shared || whole.durationMillis - block.durationMillis >= whole.thresholdMillis;
  if (!isAlike && canPart) return undefined;
  const others = whole.shared ? [] : whole.blamed.filter((other) => other !== share);
  return { ...whole, blamed: [share, ...others] };
}

/** By its id: an ancestor that did not run itself is known by nothing else. */
function isSame(a: BlockShare, b: BlockShare): boolean {
  return a.span === b.span || a.span?.spanContext().spanId === b.span?.spanContext().spanId;
}
