// SPDX-License-Identifier: Apache-2.0
import { findSourceMap } from 'node:module';
import { dirname, resolve } from 'node:path';
import { toPath } from '../system/to-path.js';
import type { StackFrame } from '../types.js';

/** `frame` where it stands in its source; `name` where the map knows the function by another one. */
export function inSource(
  frame: StackFrame,
  filePath: string,
  lineNumber: number,
  columnNumber: number,
  name: string | undefined,
): StackFrame {
  const { functionName, loadedModule } = frame;
  const place = `${filePath}:${lineNumber}:${columnNumber}`;
  let text = / \(.*\)$/.test(frame.text) ? frame.text.replace(/ \(.*\)$/, ` (${place})`) : place;
  if (name !== undefined) text = text.replace(functionName, name);
  const source = { text, functionName: name ?? functionName, filePath, lineNumber, columnNumber };
  return loadedModule === undefined ? source : { ...source, loadedModule };
}

/** What bundlers put ahead of paths below the folder that they were started in: `webpack://app/./`, `turbopack:///[project]/`. */
const BUNDLER = /^(?!file:|https?:|data:|node:)[a-z][a-z\d+.-]+:\/\/[^/]*\/(?:\[project\]\/|\.\/)?/i;

/** Where the source is that a map in `directory` calls so. */
export function sourcePath(source: string, directory: string): string {
  if (source.startsWith('file://')) return toPath(source);
  if (/^(?:https?|node|data):/.test(source)) return source;
  const below = source.replace(BUNDLER, '');
  return below === source ? resolve(directory, source) : resolve(below.replace(/\?.*$/, ''));
}

/**
 * Maps frames in `files`, of which nothing on disk says where their maps are: a loader that compiles on the fly (tsx,
 * ts-node) hands them to Node.js with the code. Such a map is that of one source file, and small.
 */
export function mapByLoader(frames: readonly StackFrame[], files: readonly string[]): readonly StackFrame[] {
  return frames.map((frame) => {
    if (!files.includes(frame.filePath)) return frame;
    try {
      const map = findSourceMap(frame.filePath);
      const entry = map?.findEntry(frame.lineNumber - 1, frame.columnNumber - 1);
      if (!map || !entry || !('originalSource' in entry)) return frame;
      const directory = resolve(dirname(frame.filePath), map.payload.sourceRoot ?? '');
      const file = sourcePath(entry.originalSource, directory);
      return inSource(frame, file, entry.originalLine + 1, entry.originalColumn + 1, undefined);
    } catch {
      return frame;
    }
  });
}
