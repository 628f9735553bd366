// SPDX-License-Identifier: Apache-2.0
import { findSourceMap, type SourceMap } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StackFrame } from '../types.js';

/** `frame` in its source, which the map names relative to `directory`; as it is where the map does not know. */
export function mapFrame(frame: StackFrame, map: SourceMap, directory: string): StackFrame {
  const entry = map.findEntry(frame.lineNumber - 1, frame.columnNumber - 1);
  if (!('originalSource' in entry)) return frame;
  const filePath = toPath(entry.originalSource, directory);
  const lineNumber = entry.originalLine + 1;
  const columnNumber = entry.originalColumn + 1;
  const place = `${filePath}:${lineNumber}:${columnNumber}`;
  const text = / \(.*\)$/.test(frame.text) ? frame.text.replace(/ \(.*\)$/, ` (${place})`) : place;
  return { text, functionName: frame.functionName, filePath, lineNumber, columnNumber };
}

function toPath(source: string, directory: string): string {
  return source.startsWith('file://') ? fileURLToPath(source) : resolve(directory, source);
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
      return map ? mapFrame(frame, map, resolve(dirname(frame.filePath), map.payload.sourceRoot ?? '')) : frame;
    } catch {
      return frame;
    }
  });
}
