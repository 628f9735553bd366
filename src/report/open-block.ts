// SPDX-License-Identifier: Apache-2.0
import { type Span, type SpanContext, TraceFlags, type Tracer } from '@opentelemetry/api';
import type { Block } from '../types.js';
import type { RateLimit } from './rate-limit.js';
import { startBlockSpan } from './spans.js';

/** A block on its way to be reported. Its span starts with the report, or sooner where others are to be linked to it. */
export class OpenBlock {
  private _span: Span | undefined;
  private _suppressed: number | undefined;
  private _isDecided = false;

  /**
   * @param startMicros when it began, since the stretch of blocks began that it is one of.
   * @param turn its iteration, counted from that of the first of them.
   */
  constructor(
    public block: Block,
    readonly startMicros: number,
    readonly turn: number,
    private readonly _telemetry: { readonly tracer: Tracer },
    private readonly _limit: RateLimit,
  ) {}

  get endMicros(): number {
    return this.startMicros + this.block.durationMillis * 1000;
  }

  /** How many blocks were not reported since the last one; undefined where the rate limit holds this one back as well. */
  get suppressed(): number | undefined {
    if (!this._isDecided) {
      this._isDecided = true;
      this._suppressed = this._limit.pass();
    }
    return this._suppressed;
  }

  /** Its span; undefined where the rate limit holds it back. */
  span(): Span | undefined {
    if (this.suppressed !== undefined) this._span ??= startBlockSpan(this._telemetry.tracer, this.block);
    return this._span;
  }

  /** What to link to; undefined where nothing would be there. */
  spanContext(): SpanContext | undefined {
    const spanContext = this.span()?.spanContext();
    return spanContext && (spanContext.traceFlags & TraceFlags.SAMPLED) !== 0 ? spanContext : undefined;
  }
}
