// SPDX-License-Identifier: Apache-2.0
import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { extentOf, isTraceOver } from '../block/extent.js';
import type { SpanShare, StallRecord } from '../model.js';
import { operationAttributes } from '../otel/entry.js';
import { isWritable } from '../otel/span-facts.js';
import { startedWith } from '../otel/span-start.js';
import * as semconv from '../semconv.js';
import { toSeconds } from '../system/seconds.js';
import type { Block } from '../types.js';
import { codeAttributes, functionAttributes } from '../words/code.js';
import { entryAttributes, plainEntry } from '../words/entry.js';
import type { Suppressed } from './rate-limit.js';

const MAX_LISTED_SPANS = 10;
const MAX_LISTED_CULPRITS = 5;

/**
 * Writes on a blamed span, as long as it can be written to, what it has blocked so far.
 *
 * @returns whether the block of this iteration is written there.
 */
export function markBlamed(tally: SpanShare): boolean {
  const span = tally.span;
  if (tally.blame?.iteration === tally.iteration) return true;
  if (span === undefined || !isWritable(span)) return false;
  const micros = tally.shareMicros;
  tally.blame ??= { count: 0, sumMicros: 0, maxMicros: 0, iteration: -1 };
  const record = tally.blame;
  record.iteration = tally.iteration;
  record.count++;
  record.sumMicros += micros;
  if (micros > record.maxMicros) record.maxMicros = micros;
  span.setAttribute(semconv.ATTR_BLOCKED, true);
  span.setAttribute(semconv.ATTR_BLOCK_COUNT, record.count);
  span.setAttribute(semconv.ATTR_BLOCK_DURATION, toSeconds(record.sumMicros / 1e3));
  span.setAttribute(semconv.ATTR_BLOCK_MAX_DURATION, toSeconds(record.maxMicros / 1e3));
  return true;
}

/** Writes on a stalled span what it has waited so far, and links it to the block spans that it waited for. */
export function markStalled(span: Span, stall: StallRecord, blockSpans: readonly SpanContext[]): void {
  if (!isWritable(span)) return;
  span.setAttribute(semconv.ATTR_STALLED, true);
  span.setAttribute(semconv.ATTR_STALL_COUNT, stall.count);
  span.setAttribute(semconv.ATTR_STALL_DURATION, toSeconds(stall.sumMicros / 1e3));
  if (stall.isUpperBound) span.setAttribute(semconv.ATTR_STALL_UPPER_BOUND, true);
  // Newer than the oldest API that fits.
  if (typeof span.addLink === 'function') for (const context of blockSpans) span.addLink({ context });
}

/** Writes a span's own synchronous time on it, in the last moment before it ends. */
export function writeTime(tally: SpanShare, span: Span): void {
  if (isWritable(span)) span.setAttribute(semconv.ATTR_TIME, toSeconds(tally.totalMicros / 1e3));
}

/** Attributes that the block span and the log event have in common. */
export function blockAttributes(block: Block, suppressed: Suppressed | undefined): Attributes {
  const listed = block.shares.slice(0, MAX_LISTED_SPANS);
  const attributes: Attributes = {
    [semconv.ATTR_BLOCK_DURATION]: toSeconds(block.durationMillis),
    [semconv.ATTR_BLOCK_SHARED]: block.shared,
    [semconv.ATTR_BLOCK_THRESHOLD]: toSeconds(block.thresholdMillis),
    [semconv.ATTR_BLOCK_SPAN_NAMES]: listed.map((share) => share.name),
    [semconv.ATTR_BLOCK_SPAN_DURATIONS]: listed.map((share) => toSeconds(share.durationMillis)),
    ...(block.approximate && { [semconv.ATTR_BLOCK_APPROXIMATE]: true }),
    ...(block.cause && { [semconv.ATTR_BLOCK_CAUSE]: block.cause }),
    ...(block.cpuMillis !== undefined && { [semconv.ATTR_BLOCK_CPU_TIME]: toSeconds(block.cpuMillis) }),
    ...(block.gcMillis !== undefined && { [semconv.ATTR_BLOCK_GC_TIME]: toSeconds(block.gcMillis) }),
    ...whichAttributes(block),
    ...(block.location && codeAttributes(block.location)),
    ...(block.functions.length > 0 && functionAttributes(block.functions)),
    ...(block.callbackCount !== undefined && { [semconv.ATTR_BLOCK_CALLBACK_COUNT]: block.callbackCount }),
  };
  if (suppressed !== undefined && suppressed.count > 0) {
    const most = suppressed.culprits.slice(0, MAX_LISTED_CULPRITS);
    attributes[semconv.ATTR_BLOCK_SUPPRESSED] = suppressed.count;
    attributes[semconv.ATTR_BLOCK_SUPPRESSED_NAMES] = most.map(([culprit]) => culprit);
    attributes[semconv.ATTR_BLOCK_SUPPRESSED_COUNTS] = most.map(([, count]) => count);
  }
  return attributes;
}

/** Which operation it was, and what nothing else tells of a span that the sampler has left out. */
function whichAttributes({ entry, blamed }: Block): Attributes {
  const span = blamed[0]?.span;
  const start = span && startedWith(span);
  const kind = start && SpanKind[start.kind]?.toLowerCase();
  return {
    ...(kind && { [semconv.ATTR_BLOCK_SPAN_KIND]: kind }),
    ...(entry ? entryAttributes(plainEntry(entry)) : start?.attributes && operationAttributes(start.attributes)),
  };
}

/**
 * The block as a span of its own: child of the blamed span, with links to the other blamed spans where there are several.
 * Where the blamed span has long ended, a root span with a link to that as well.
 */
export function startBlockSpan(tracer: Tracer, block: Block): Span {
  const [first, ...others] = block.blamed;
  const isOrphan = isTraceOver(block);
  return tracer.startSpan(
    semconv.SPAN_BLOCK,
    {
      kind: SpanKind.INTERNAL,
      startTime: extentOf(block, Date.now()).startTimeMillis,
      links: (isOrphan ? block.blamed : others).flatMap(({ span }) => (span ? [{ context: span.spanContext() }] : [])),
    },
    // Not the context in which the span ran: that one may carry "suppress tracing" or a sampler's hints.
    first?.span && !isOrphan ? trace.setSpan(ROOT_CONTEXT, first.span) : ROOT_CONTEXT,
  );
}
