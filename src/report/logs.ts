// SPDX-License-Identifier: Apache-2.0
import { type Attributes, type Context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import * as semconv from '../semconv.js';
import type { Block } from '../types.js';
import { describeBlock } from '../words/sentence.js';

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
