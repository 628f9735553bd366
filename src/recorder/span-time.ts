// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import type { BlameRecord, RequestMetadata, SpanShare, StallRecord } from '../model.js';
import { Given } from '../otel/given.js';

/** Older than any. */
const NO_TICKET = -(2 ** 30);

/**
 * What the loop has spent on one span. One for each span whose context was ever active: no list of slices is
 * kept, only these running totals, so that thousands of slices in one iteration cost no more than two.
 *
 * Times are whole microseconds: V8 keeps small integers inside the object, fractions each in an allocation of their own.
 */
export class Tally implements SpanShare {
  /** Own synchronous time over the span's life; its children's time is not in it. */
  totalMicros = 0;
  /** Own time inside the iteration {@link iteration}. */
  shareMicros = 0;
  /** The iteration that {@link shareMicros} belongs to. */
  iteration = -1;
  /** How long that iteration had been busy already when this first ran in it. */
  behindMicros = 0;
  /** Under which the watchdog knows the span; see `SharedMemory#publish`. */
  ticket = NO_TICKET;
  /** Whether {@link TallyStamp.get} of the span gives it. */
  isTied: boolean;
  hasEnded = false;
  /** Made when the span is first blamed. */
  blame: BlameRecord | undefined = undefined;
  /** Made when the span first runs in a block or in the backlog behind it. */
  stall: StallRecord | undefined = undefined;

  /**
   * @param span undefined for the one tally of everything that ran under no span.
   * @param origin the stretch whose backlog the span began in; 0: none.
   * @param request what the context in which it first ran says of the request that it is part of.
   */
  constructor(
    readonly span: Span | undefined,
    readonly origin = 0,
    readonly request: RequestMetadata | undefined = undefined,
  ) {
    this.isTied = span === undefined;
  }
}

/**
 * Ties a tally to its span through a private name on the span itself: no reflection can see it, it works on any object,
 * and it is gone with the span. The obvious WeakMap costs 2.5 µs of garbage collection for each span (an ephemeron whose
 * value refers to its key), this 0.03 to 0.1 µs.
 */
export class TallyStamp extends Given {
  #tally: Tally;

  private constructor(span: Span, tally: Tally) {
    super(span);
    this.#tally = tally;
  }

  /** The span's tally, if it ever got one. */
  static get(span: Span): Tally | undefined {
    return #tally in span ? (span as unknown as TallyStamp).#tally : undefined;
  }

  /**
   * From now on `tally`'s span has it, unless it has one of another recorder's. One that is frozen stays without: it has a
   * tally only as long as its context is among the last that were active.
   */
  static tie(tally: Tally): void {
    const span = tally.span as Span;
    tally.isTied = true;
    try {
      if (!(#tally in span) && Object.isExtensible(span)) new TallyStamp(span, tally);
    } catch {
      // A proxy that does not let itself be asked.
    }
  }
}
