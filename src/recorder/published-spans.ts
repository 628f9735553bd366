// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import type { RequestMetadata } from '../model.js';
import { requestName } from '../otel/entry.js';
import { knownNameOf, startOf } from '../otel/span-facts.js';
import { readOff } from '../system/foreign.js';
import { Field, type PublishedSpan, type SharedMemory } from '../system/shared-memory.js';
import type { Tally } from './span-time.js';

/** Tells the watchdog which span runs, should the loop never come back. */
export class PublishedSpans {
  /** The request whose name was last asked for, and with which route. */
  private _request: RequestMetadata | undefined;
  private _route: unknown;
  private _requestName = '';

  constructor(private readonly _memory: SharedMemory) {}

  /** `tally`'s span runs from now on. Per change of slice. */
  publish(tally: Tally): void {
    if (tally.span === undefined) {
      this._memory.fields[Field.Running] = 0;
    } else {
      if (!this._memory.holds(tally.ticket)) tally.ticket = this._write(tally.span, tally.request);
      this._memory.fields[Field.Running] = tally.ticket;
    }
  }

  /** None does. */
  clear(): void {
    this._memory.fields[Field.Running] = 0;
  }

  /** Once per span, and per thousand others in between. */
  private _write(span: Span, request: RequestMetadata | undefined): number {
    const identity = readOff(span, readIdentity, undefined);
    if (identity === undefined) return 0;
    const { traceId, spanId, name, startTimeMillis } = identity;
    if (request?.span === undefined) return this._memory.publish(traceId, spanId, name, '', startTimeMillis);
    if (request !== this._request || request.route !== this._route) {
      this._request = request;
      this._route = request.route;
      this._requestName = readOff(request, requestName, '');
    }
    return request.span === span
      ? this._memory.publish(traceId, spanId, this._requestName || name, '', startTimeMillis)
      : this._memory.publish(traceId, spanId, name, this._requestName, startTimeMillis);
  }
}

/** Spans of other SDKs need not be what the API says they are. */
function readIdentity(span: Span): PublishedSpan & { readonly startTimeMillis: number } {
  const { traceId, spanId } = span.spanContext();
  return {
    traceId: String(traceId),
    spanId: String(spanId),
    name: knownNameOf(span) ?? '',
    startTimeMillis: startOf(span) ?? 0,
  };
}
