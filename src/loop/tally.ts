// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';

/**
 * What the loop has spent on one span. One for each span whose context was ever active: no list of slices is
 * kept, only these running totals, so that thousands of slices in one iteration cost no more than two.
 * Times are milliseconds.
 */
export class Tally {
  /** Own synchronous time over the span's life; its children's time is not in it. */
  time = 0;
  /** Own time inside the iteration {@link iteration}. */
  share = 0;
  /** The iteration that {@link share} belongs to. */
  iteration = -1;
  /** When the last slice closed ({@link now}). */
  lastRanAt = 0;
  /** Blocks this span was blamed for, their sum and the longest: what its attributes say. */
  blocks = 0;
  blockTime = 0;
  maxBlockTime = 0;
  /** The iteration whose block was last written to the span, so that it is not counted twice. */
  markedIteration = -1;

  /** `span` is undefined for the one tally of everything that ran under no span. */
  constructor(readonly span: Span | undefined) {}
}
