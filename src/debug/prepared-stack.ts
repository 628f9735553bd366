// SPDX-License-Identifier: Apache-2.0
import { framesOf, withFrames } from '../block/frames.js';
import { toPath } from '../system/to-path.js';
import type { Block, StackFrame } from '../types.js';

/** `Error.prepareStackTrace` of whatever realm. */
export type PrepareStackTrace = (error: Error, sites: NodeJS.CallSite[]) => unknown;

/** ` at name (place:1:2)`, or ` at place:1:2`. */
const LINE = /^ *at (?:(?:async )?.*? \()?([^()]+?):(\d+):(\d+)\)?$/;

/**
 * `found` where whoever compiles on the fly (vite, jest, ts-node) says that it stands: he alone has the maps, and hands them
 * to nobody, but has put himself into `Error.prepareStackTrace`.
 *
 * @param raw the same frames as V8 had them: what differs has been mapped already.
 */
export function mapByPreparing(
  found: readonly StackFrame[],
  raw: readonly StackFrame[],
  prepare: PrepareStackTrace | undefined,
): readonly StackFrame[] {
  if (typeof prepare !== 'function') return found;
  return found.map((frame, i) => (frame.text === raw[i]?.text ? mapOne(frame, prepare) : frame));
}

/** The same of all frames of a block, unless Node.js maps itself: then the watchdog has asked it. */
export function mapBlock(block: Block, prepare: PrepareStackTrace | undefined): Block {
  if (process.sourceMapsEnabled === true) return block;
  const frames = framesOf(block);
  return withFrames(block, mapByPreparing(frames, frames, prepare));
}

function mapOne(frame: StackFrame, prepare: PrepareStackTrace): StackFrame {
  if (frame.filePath === '' || frame.filePath.startsWith('node:')) return frame;
  try {
    const text = String(prepare(new Error(''), [new Site(frame) as unknown as NodeJS.CallSite]));
    const [, place = '', line, column] = LINE.exec(text.trimEnd().split('\n').at(-1) ?? '') ?? [];
    if (line === undefined || column === undefined) return frame;
    const [filePath, lineNumber, columnNumber] = [toPath(place), Number(line), Number(column)];
    const before = `${frame.filePath}:${frame.lineNumber}:${frame.columnNumber}`;
    const after = `${filePath}:${lineNumber}:${columnNumber}`;
    return { ...frame, filePath, lineNumber, columnNumber, text: frame.text.replace(before, after) };
  } catch {
    return frame;
  }
}

/** As V8's, of which those who map copy each method. */
class Site {
  constructor(private readonly _frame: StackFrame) {}
  getFileName(): string {
    return this._frame.filePath;
  }
  getScriptNameOrSourceURL(): string {
    return this._frame.filePath;
  }
  getLineNumber(): number {
    return this._frame.lineNumber;
  }
  getColumnNumber(): number {
    return this._frame.columnNumber;
  }
  getFunctionName(): string {
    return this._frame.functionName;
  }
  getEnclosingLineNumber(): number {
    return this._frame.startLine ?? 0;
  }
  getEnclosingColumnNumber(): number {
    return this._frame.startColumn ?? 0;
  }
  getTypeName(): null {
    return null;
  }
  getMethodName(): null {
    return null;
  }
  getEvalOrigin(): undefined {}
  getFunction(): undefined {}
  getThis(): undefined {}
  getPromiseIndex(): null {
    return null;
  }
  getPosition(): number {
    return 0;
  }
  getScriptHash(): string {
    return '';
  }
  isNative(): boolean {
    return false;
  }
  isToplevel(): boolean {
    return true;
  }
  isEval(): boolean {
    return false;
  }
  isConstructor(): boolean {
    return false;
  }
  isAsync(): boolean {
    return false;
  }
  isPromiseAll(): boolean {
    return false;
  }
  toString(): string {
    return this._frame.text;
  }
}
