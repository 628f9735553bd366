// SPDX-License-Identifier: Apache-2.0
import { type Span, type SpanContext, TraceFlags, type Tracer } from '@opentelemetry/api';
import type { Block, BlockShare } from '../types.js';
import type { RateLimit } from './rate-limit.js';
import { startBlockSpan } from './spans.js';

/** A block on its way to be reported. Its span starts with the report, or sooner where others are to be linked to it. */
export class OpenBlock {
  private _span: Span | undefined;
  /** Who was blamed when the span started. */
  private _linked: readonly BlockShare[] = [];
  private _suppressed: number | undefined;
  private _isDecided = false;
  /** Whether the blamed span had ended, so that nothing could be written on it. */
  isUnmarked = false;

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
    if (this.suppressed !== undefined && this._span === undefined) {
      this._span = startBlockSpan(this._telemetry.tracer, this.block);
      this._linked = this.block.blamed;
    }
    return this._span;
  }

  /** Links its span to those that are blamed by now and were not when it started. */
  linkLater(): void {
    const span = this._span;
    // Newer than the oldest API that fits.
    if (typeof span?.addLink !== 'function') return;
    const linked = new Set(this._linked.map((share) => share.span));
    for (const share of this.block.blamed) {
      if (share.span && !linked.has(share.span)) span.addLink({ context: share.span.spanContext() });
    }
  }

  /** What to link to; undefined where nothing would be there. */
  spanContext(): SpanContext | undefined {
    const spanContext = this.span()?.spanContext();
    return spanContext && (spanContext.traceFlags & TraceFlags.SAMPLED) !== 0 ? spanContext : undefined;
  }
}
