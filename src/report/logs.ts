// SPDX-License-Identifier: Apache-2.0
import { type Attributes, type Context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import * as semconv from '../semconv.js';
import type { Block } from '../types.js';
import { describeFrame } from './code.js';

/** `SeverityNumber.WARN` of the logs data model; its enum lives in different packages in the 2.x and 3.x lines. */
const SEVERITY_WARN = 13;

/** What is used of a Logger; its type, too, lives in different packages in the two lines. */
export interface EventLogger {
  emit(record: {
    eventName: string;
    severityNumber: number;
    severityText: string;
    timestamp: number;
    body: string;
    attributes: Attributes;
    context: Context;
  }): void;
}

/** The block as a log event in the blamed span's context, with a body that a person understands. */
export function emitBlockEvent(logger: EventLogger, block: Block, attributes: Attributes): void {
  const span = block.blamed[0]?.span;
  logger.emit({
    eventName: semconv.EVENT_BLOCK,
    severityNumber: SEVERITY_WARN,
    severityText: 'WARN',
    timestamp: block.endTimeMillis,
    body: describeBlock(block),
    attributes,
    context: span ? trace.setSpan(ROOT_CONTEXT, span) : ROOT_CONTEXT,
  });
}

/** `event loop blocked for 412 ms by "GET /report" in buildReport (src/report.ts:42:7)` */
export function describeBlock(block: Block): string {
  const where = block.location ? ` in ${describeFrame(block.location.frame)}` : '';
  return `${describeCulprit(block)}${where}`;
}

function describeCulprit(block: Block): string {
  const millis = Math.round(block.durationMillis);
  const names = block.blamed.map((share) => (share.span ? `"${share.name}"` : 'code under no span'));
  if (!block.shared) return `event loop blocked for ${millis} ms by ${names.join(' and ')}`;
  const ran = block.shares.length === 1 ? 'one span' : `${block.shares.length} spans`;
  return `event loop blocked for ${millis} ms by ${ran} together, most of it under ${names.join(' and ')}`;
}
