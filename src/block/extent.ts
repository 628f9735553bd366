// SPDX-License-Identifier: Apache-2.0
import { endOf, startOf } from '../otel/span-facts.js';
import type { Block } from '../types.js';
import { type Extent, extentIn, isLongOver } from './extent-in.js';

/**
 * From when to when the block span goes, in milliseconds since the Unix epoch: the part of the block that lies in the
 * blamed span's life, so that it makes no trace longer than it is; all of it where the two do not overlap.
 *
 * @param nowMillis as far as the life of a span goes at least that has not ended.
 */
export function extentOf(block: Block, nowMillis: number): Extent {
  const span = block.blamed[0]?.span;
  if (span === undefined) return block;
  return extentIn(block, startOf(span), endOf(span), nowMillis);
}

/** Whether the blamed span ended so long before the block that its trace is not to grow any more. */
export function isTraceOver(block: Block): boolean {
  return isLongOver(endOf(block.blamed[0]?.span), block.startTimeMillis);
}
