// SPDX-License-Identifier: Apache-2.0
import { relative } from 'node:path';
import * as semconv from '../semconv.js';
import type { CodeLocation, StackFrame } from '../types.js';

/** A location as the attributes of the `code.*` conventions. */
export function codeAttributes({ frame, stack, accuracy }: CodeLocation): Record<string, string | number> {
  return {
    [semconv.ATTR_CODE_FUNCTION_NAME]: frame.functionName,
    [semconv.ATTR_CODE_FILE_PATH]: frame.filePath,
    [semconv.ATTR_CODE_LINE_NUMBER]: frame.lineNumber,
    [semconv.ATTR_CODE_COLUMN_NUMBER]: frame.columnNumber,
    [semconv.ATTR_CODE_STACKTRACE]: stack.map(({ text }) => `    at ${text}`).join('\n'),
    [semconv.ATTR_BLOCK_STACK_ACCURACY]: accuracy,
  };
}

/** `buildReport (src/report.ts:42:7)` */
export function describeFrame({ functionName, filePath, lineNumber, columnNumber }: StackFrame): string {
  const inside = relative(process.cwd(), filePath);
  const path = inside.startsWith('..') ? filePath : inside;
  return `${functionName} (${path}:${lineNumber}:${columnNumber})`;
}
