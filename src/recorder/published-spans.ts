// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { readOff } from '../system/foreign.js';
import { Field, type PublishedSpan, type SharedMemory } from '../system/shared-memory.js';
import type { Tally } from './span-time.js';

/** Tells the watchdog which span runs, should the loop never come back. */
export class PublishedSpans {
  constructor(private readonly _memory: SharedMemory) {}

  /** `tally`'s span runs from now on. Per change of slice. */
  publish(tally: Tally): void {
    if (tally.span === undefined) {
      this._memory.fields[Field.Running] = 0;
    } else {
      if (!this._memory.holds(tally.ticket)) tally.ticket = this._write(tally.span);
      this._memory.fields[Field.Running] = tally.ticket;
    }
  }

  /** None does. */
  clear(): void {
    this._memory.fields[Field.Running] = 0;
  }

  /** Once per span, and per thousand others in between. */
  private _write(span: Span): number {
    const identity = readOff(span, readIdentity, undefined);
    return identity === undefined ? 0 : this._memory.publish(identity.traceId, identity.spanId, identity.name);
  }
}

/** Spans of other SDKs need not be what the API says they are. */
function readIdentity(span: Span): PublishedSpan {
  const { traceId, spanId } = span.spanContext();
  return { traceId: String(traceId), spanId: String(spanId), name: String((span as { name?: unknown }).name ?? '') };
}
