// SPDX-License-Identifier: Apache-2.0
import { type Span, type SpanContext, TraceFlags, type Tracer } from '@opentelemetry/api';
import type { OpenBlock } from '../model.js';
import type { BlockShare } from '../types.js';
import { culpritOf, type RateLimit, type Suppressed } from './rate-limit.js';
import { startBlockSpan } from './spans.js';

/** The span of a block. It starts with the report, or sooner where others are to be linked to it. */
export class BlockSpan {
  private _span: Span | undefined;
  /** Who was blamed when the span started. */
  private _linked: readonly BlockShare[] = [];
  private _suppressed: Suppressed | undefined;
  private _isDecided = false;
  private _isUnmarked = false;

  constructor(
    private readonly _open: OpenBlock,
    private readonly _telemetry: { readonly tracer: Tracer },
    private readonly _limit: RateLimit,
  ) {}

  /** Whether the blamed span had ended, so that nothing could be written on it. */
  get isUnmarked(): boolean {
    return this._isUnmarked;
  }

  noteUnmarked(): void {
    this._isUnmarked = true;
  }

  /** Which blocks were not reported since the last one; undefined where the rate limit holds this one back as well. */
  get suppressed(): Suppressed | undefined {
    if (!this._isDecided) {
      this._isDecided = true;
      this._suppressed = this._limit.pass(culpritOf(this._open.block));
    }
    return this._suppressed;
  }

  /** Its span; undefined where the rate limit holds it back. */
  span(): Span | undefined {
    if (this.suppressed !== undefined && this._span === undefined) {
      this._span = startBlockSpan(this._telemetry.tracer, this._open.block);
      this._linked = this._open.block.blamed;
    }
    return this._span;
  }

  /** Links its span to those that are blamed by now and were not when it started. */
  linkLater(): void {
    const span = this._span;
    // Newer than the oldest API that fits.
    if (typeof span?.addLink !== 'function') return;
    const linked = new Set(this._linked.map((share) => share.span));
    for (const share of this._open.block.blamed) {
      if (share.span && !linked.has(share.span)) span.addLink({ context: share.span.spanContext() });
    }
  }

  /** What to link to; undefined where nothing would be there. */
  spanContext(): SpanContext | undefined {
    const spanContext = this.span()?.spanContext();
    return spanContext && (spanContext.traceFlags & TraceFlags.SAMPLED) !== 0 ? spanContext : undefined;
  }
}
