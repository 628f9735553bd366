// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { startOf } from '../otel/span-facts.js';
import { isEntryKind } from '../otel/span-start.js';
import type { Block } from '../types.js';
import type { Kinship } from './kinship.js';

/** The SDK starts its spans on whole milliseconds, rounded down. */
const START_ROUNDING_MILLIS = 1;

/**
 * Whether a span that ran behind a block waited for it.
 *
 * - `in flight`: it had started before the block, and what it waited for arrived at the latest while the loop was blocked.
 * - `at the door`: a request or message (SERVER, CONSUMER) that was taken in only behind the block. It waited in the
 *   kernel, for as long as the block at the most, and its own span does not show it.
 * - no: an ancestor or descendant of a blamed span, as far as that is not ruled out: it is rather work of the same request
 *   than work that stood in its way; any other span that started behind the block; and one that does not tell when it
 *   started.
 */
export function waitFor(span: Span, block: Block, kinship: Kinship): 'in flight' | 'at the door' | 'no' {
  if (block.blamed.some((share) => share.span && !kinship.areStrangers(share.span, span))) return 'no';
  const startTimeMillis = startOf(span);
  if (startTimeMillis === undefined) return 'no';
  if (startTimeMillis < block.startTimeMillis - START_ROUNDING_MILLIS) return 'in flight';
  const { kind } = span as { kind?: unknown };
  return isEntryKind(kind) ? 'at the door' : 'no';
}
