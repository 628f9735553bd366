// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { parentOf } from '../otel/span-facts.js';

/** So many spans are remembered: more would cost more than they can tell. */
const MAX_SPANS = 1_000;
/** How far up a span's ancestors are looked for. */
const MAX_ANCESTORS = 32;

/**
 * Who descends from whom. A span tells no more than its parent's id, so that a line goes up only through spans that were
 * seen, and one step beyond.
 */
export class Kinship {
  private readonly _seen = new Map<string, Span>();

  add(span: Span): void {
    if (this._seen.size < MAX_SPANS) this._seen.set(span.spanContext().spanId, span);
  }

  clear(): void {
    this._seen.clear();
  }

  /**
   * Whether neither descends from the other, for certain: they are of two traces, or branches of one tree, which part
   * below both. Where that is not known, they may be work of the same request.
   */
  areStrangers(one: Span, other: Span): boolean {
    if (one.spanContext().traceId !== other.spanContext().traceId) return true;
    const line = this._lineOf(one);
    const otherLine = this._lineOf(other);
    const meeting = otherLine.find((id) => line.includes(id));
    return meeting !== undefined && meeting !== line[0] && meeting !== otherLine[0];
  }

  /** The span's own id, then those of its ancestors as far as they are known. */
  private _lineOf(span: Span): string[] {
    const line = [span.spanContext().spanId];
    for (let next: Span | undefined = span; next !== undefined && line.length <= MAX_ANCESTORS; ) {
      const id: string | undefined = parentOf(next)?.spanId;
      if (id === undefined) break;
      line.push(id);
      next = this._seen.get(id);
    }
    return line;
  }
}
