// SPDX-License-Identifier: Apache-2.0
import { isAbsolute, relative } from 'node:path';
import type { Block, CodeLocation, FunctionTime, StackFrame, StackPaths } from '../types.js';
import { shorten } from './code.js';

/** What is said of code, as it is to leave the process: hooks and channels of the application get all of it. */

/** A block as its span and its log event tell it. */
export function outwardBlock(block: Block, paths: StackPaths): Block {
  if (paths === 'absolute') return block;
  const outward = (part: FunctionTime): FunctionTime => ({ ...part, frame: outwardFrame(part.frame, paths) });
  return {
    ...block,
    location: block.location && outwardLocation(block.location, paths),
    functions: block.functions.map(outward),
    hottest: block.hottest && outward(block.hottest),
  };
}

export function outwardLocation(location: CodeLocation, paths: StackPaths): CodeLocation {
  if (paths === 'absolute') return location;
  // Shortened ahead of it: a library is known by its path.
  const stack = paths === 'none' ? [] : shorten(location.stack).map((frame) => outwardFrame(frame, paths));
  return { ...location, frame: outwardFrame(location.frame, paths), stack };
}

export function outwardFrame(frame: StackFrame, paths: StackPaths): StackFrame {
  if (paths === 'absolute') return frame;
  const { functionName, lineNumber, columnNumber } = frame;
  const loaded = frame.loadedModule === undefined ? {} : { loadedModule: outwardModule(frame.loadedModule, paths) };
  if (paths === 'none') {
    return { text: functionName, functionName, filePath: '', lineNumber: 0, columnNumber: 0, ...loaded };
  }
  const filePath = outwardPath(frame.filePath);
  const text = outwardText(frame.text, filePath && `${filePath}:${lineNumber}:${columnNumber}`);
  return { ...frame, ...loaded, filePath, text };
}

/** A package's name is none of the paths; empty where it was not loaded by its name. */
function outwardModule(module: string, paths: StackPaths): string {
  const name = isAbsolute(module) || module.includes('://') ? outwardPath(module) : module;
  const inPackage = /^node_modules[/\\](.*)$/s.exec(name)?.[1];
  if (paths === 'relative') return inPackage ?? name;
  if (inPackage !== undefined) return /^(?:@[^/\\]+[/\\])?[^/\\]+/.exec(inPackage)?.[0] ?? '';
  return name === module && !/^[.#]/.test(module) ? module : '';
}

/** Relative to the working directory; of a file outside of it no more than its package tells, or its name. */
function outwardPath(path: string): string {
  if (path === '' || path.startsWith('node:')) return path;
  if (path.startsWith('data:')) return 'data:';
  const inside = isAbsolute(path) ? relative(process.cwd(), path) : path;
  if (inside !== path && !inside.startsWith('..') && !isAbsolute(inside)) return inside;
  const [file = ''] = path.split(/[?#]/);
  const library = Math.max(file.lastIndexOf('/node_modules/'), file.lastIndexOf('\\node_modules\\'));
  return library >= 0 ? file.slice(library + 1) : (file.split(/[/\\]/).pop() as string);
}

/** V8 prints a frame as `name (place)`, or as a place alone where there is no name. */
function outwardText(text: string, place: string): string {
  const from = text.indexOf(' (');
  if (from >= 0) return `${text.slice(0, from)} (${place || '<anonymous>'})`;
  return `${text.startsWith('async ') ? 'async ' : ''}${place || '<anonymous>'}`;
}
