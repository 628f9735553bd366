// SPDX-License-Identifier: Apache-2.0
import { isAbsolute, relative } from 'node:path';
import process from 'node:process';
import * as semconv from '../semconv.js';
import type { CodeLocation, FunctionTime, StackFrame } from '../types.js';

/** As many frames of a stack leave the process. */
const MAX_STACK_FRAMES = 64;

/** No person writes lines so long, and names so short in them. */
const MINIFIED_COLUMN = 200;

/** Of a library, of Node.js, or built into V8. */
export function isForeign({ filePath }: Pick<StackFrame, 'filePath'>): boolean {
  return /[/\\]node_modules[/\\]|^node:|^$/.test(filePath);
}

/** Of a deep stack the innermost frames, and as many of the application's own as there is room for. */
export function shorten(stack: readonly StackFrame[]): readonly StackFrame[] {
  if (stack.length <= MAX_STACK_FRAMES) return stack;
  const own = stack.filter((frame) => !isForeign(frame)).slice(-MAX_STACK_FRAMES / 2);
  const innermost = stack.filter((frame) => !own.includes(frame)).slice(0, MAX_STACK_FRAMES - own.length);
  return stack.filter((frame) => own.includes(frame) || innermost.includes(frame));
}

/** A location as the attributes of the `code.*` conventions, as far as it tells. */
export function codeAttributes({ frame, stack, accuracy }: CodeLocation): Record<string, string | number> {
  const lines = shorten(stack).map(({ text }) => `    at ${text}`);
  return {
    [semconv.ATTR_CODE_FUNCTION_NAME]: frame.functionName,
    ...(hasPlace(frame) && {
      [semconv.ATTR_CODE_FILE_PATH]: frame.filePath,
      [semconv.ATTR_CODE_LINE_NUMBER]: frame.lineNumber,
      [semconv.ATTR_CODE_COLUMN_NUMBER]: frame.columnNumber,
    }),
    ...(lines.length > 0 && { [semconv.ATTR_CODE_STACKTRACE]: lines.join('\n') }),
    [semconv.ATTR_BLOCK_STACK_ACCURACY]: accuracy,
    ...(frame.loadedModule && { [semconv.ATTR_BLOCK_LOADED_MODULE]: frame.loadedModule }),
  };
}

function hasPlace({ filePath, lineNumber }: StackFrame): boolean {
  return filePath !== '' || lineNumber > 0;
}

/** What the time divides into, as parallel arrays. */
export function functionAttributes(functions: readonly FunctionTime[]): Record<string, string[] | number[]> {
  return {
    [semconv.ATTR_BLOCK_FUNCTION_NAMES]: functions.map(({ frame }) => describeFrame(frame)),
    [semconv.ATTR_BLOCK_FUNCTION_DURATIONS]: functions.map(({ durationMillis }) => Math.round(durationMillis) / 1000),
  };
}

/** `buildReport (src/report.ts:42:7)`, or `loading module "typescript" (required in src/report.ts:3:12)` */
export function describeFrame(frame: StackFrame): string {
  const { functionName, filePath, lineNumber, columnNumber, loadedModule } = frame;
  const place = `${toShortPath(filePath)}:${lineNumber}:${columnNumber}`;
  if (loadedModule === undefined) {
    if (!hasPlace(frame)) return functionName;
    return isMinified(frame) ? `${place} (${functionName})` : `${functionName} (${place})`;
  }
  const loading = `loading ${loadedModule === '' ? 'a module' : `module "${toModuleName(loadedModule)}"`}`;
  return hasPlace(frame) ? `${loading} (required in ${place})` : loading;
}

/** The same in a sentence: `in buildReport (…)`, but `loading module …`. */
export function describeWhere(frame: StackFrame): string {
  return `${frame.loadedModule === undefined ? 'in ' : ''}${describeFrame(frame)}`;
}

/** As it could be required, where it is a file of a library. */
function toModuleName(path: string): string {
  return isAbsolute(path) ? (path.split(/[/\\]node_modules[/\\]/).pop() as string) : path;
}

/** Then the name says nothing, and the place is what one can look up. */
function isMinified({ functionName, columnNumber }: StackFrame): boolean {
  return columnNumber > MINIFIED_COLUMN && /^(?:[\w$]{1,2}\.)*[\w$]{1,2}$/.test(functionName);
}

function toShortPath(filePath: string): string {
  const inside = relative(process.cwd(), filePath);
  return inside.startsWith('..') ? filePath : inside;
}
