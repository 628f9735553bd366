// SPDX-License-Identifier: Apache-2.0
import { type Attributes, isSpanContextValid, type Span, type SpanContext, type SpanKind } from '@opentelemetry/api';
import { startedWith } from './span-start.js';

const NO_SPAN = '(no span)';
const NOT_RECORDING = '(not recording)';
/** What the API does not have, but every SDK's recording span tells. A foreign span need not: then undefined. */

/** When it started, in milliseconds since the Unix epoch. */
export function startOf(span: Span | undefined): number | undefined {
  return millisOf((span as { startTime?: unknown } | undefined)?.startTime);
}

/** When it ended, in milliseconds since the Unix epoch; undefined as long as it has not. */
export function endOf(span: Span | undefined): number | undefined {
  const millis = millisOf((span as { endTime?: unknown } | undefined)?.endTime);
  // Until then the SDK has `[0, 0]` there.
  return millis === 0 ? undefined : millis;
}

/** 2.x and 3.x of the SDK call it `parentSpanContext`. */
export function parentOf(span: Span | undefined): SpanContext | undefined {
  const parent = (span as { parentSpanContext?: SpanContext } | undefined)?.parentSpanContext;
  return parent != null && isSpanContextValid(parent) ? parent : undefined;
}

/** As it is now, or what it was started with; undefined where neither is known. */
export function knownNameOf(span: Span): string | undefined {
  const { name } = span as { name?: unknown };
  return typeof name === 'string' ? name : startedWith(span)?.name;
}

/** `SpanKind`; undefined where it is not known. */
export function kindOf(span: Span): SpanKind | undefined {
  const { kind } = span as { kind?: unknown };
  return typeof kind === 'number' ? kind : startedWith(span)?.kind;
}

/** As far as the span tells, or has told when it was started. */
export function attributesOf(span: Span): Attributes {
  return (span as { attributes?: Attributes }).attributes ?? startedWith(span)?.attributes ?? {};
}

/** `(no span)` and `(not recording)` are no names of spans. */
export function nameOf(span: Span | undefined): string {
  return span === undefined ? NO_SPAN : (knownNameOf(span) ?? NOT_RECORDING);
}

/** Spans of other SDKs need not have what the API asks for, and writing to an ended one costs a warning with a stack. */
export function isWritable(span: Span): boolean {
  return typeof span.isRecording === 'function' && span.isRecording() && typeof span.setAttribute === 'function';
}

/** `[seconds, nanoseconds]` */
function millisOf(time: unknown): number | undefined {
  if (!Array.isArray(time) || typeof time[0] !== 'number' || typeof time[1] !== 'number') return undefined;
  return time[0] * 1e3 + time[1] / 1e6;
}
