// SPDX-License-Identifier: Apache-2.0
import { relative } from 'node:path';
import * as semconv from '../semconv.js';
import type { CodeLocation, FunctionTime, StackFrame } from '../types.js';

/** As many frames of a stack leave the process. */
const MAX_STACK_FRAMES = 64;

/** Of a library, of Node.js, or built into V8. */
export function isForeign({ filePath }: StackFrame): boolean {
  return /[/\\]node_modules[/\\]|^node:|^$/.test(filePath);
}

/** Of a deep stack the innermost frames, and as many of the application's own as there is room for. */
function shorten(stack: readonly StackFrame[]): readonly StackFrame[] {
  if (stack.length <= MAX_STACK_FRAMES) return stack;
  const own = stack.filter((frame) => !isForeign(frame)).slice(-MAX_STACK_FRAMES / 2);
  const innermost = stack.filter((frame) => !own.includes(frame)).slice(0, MAX_STACK_FRAMES - own.length);
  return stack.filter((frame) => own.includes(frame) || innermost.includes(frame));
}

/** A location as the attributes of the `code.*` conventions. */
export function codeAttributes({ frame, stack, accuracy }: CodeLocation): Record<string, string | number> {
  return {
    [semconv.ATTR_CODE_FUNCTION_NAME]: frame.functionName,
    [semconv.ATTR_CODE_FILE_PATH]: frame.filePath,
    [semconv.ATTR_CODE_LINE_NUMBER]: frame.lineNumber,
    [semconv.ATTR_CODE_COLUMN_NUMBER]: frame.columnNumber,
    [semconv.ATTR_CODE_STACKTRACE]: shorten(stack)
      .map(({ text }) => `    at ${text}`)
      .join('\n'),
    [semconv.ATTR_BLOCK_STACK_ACCURACY]: accuracy,
  };
}

/** What the time divides into, as parallel arrays. */
export function functionAttributes(functions: readonly FunctionTime[]): Record<string, string[] | number[]> {
  return {
    [semconv.ATTR_BLOCK_FUNCTION_NAMES]: functions.map(({ frame }) => describeFrame(frame)),
    [semconv.ATTR_BLOCK_FUNCTION_DURATIONS]: functions.map(({ durationMillis }) => Math.round(durationMillis) / 1000),
  };
}

/** `buildReport (src/report.ts:42:7)` */
export function describeFrame({ functionName, filePath, lineNumber, columnNumber }: StackFrame): string {
  const inside = relative(process.cwd(), filePath);
  const path = inside.startsWith('..') ? filePath : inside;
  return `${functionName} (${path}:${lineNumber}:${columnNumber})`;
}
