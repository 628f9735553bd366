// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { StackFrame } from '../../types.js';

const SOURCE_MAP_URL = /^\/\/[#@] ?sourceMappingURL=(\S+)\s*$/gm;
const MAX_CACHED = 20;

interface LoadedMap {
  readonly map: SourceMap;
  readonly directory: string;
}

const cache = new Map<string, LoadedMap | undefined>();

let mapsSources = false;

/** Whether the main thread's stacks are to be mapped. */
export function enableSourceMaps(enabled: boolean): void {
  mapsSources = enabled;
}

/**
 * Maps frames to their sources, where the process was started with `--enable-source-maps` and the file says where its
 * map is. Frames that cannot be mapped stay as they are.
 */
export function mapFrames(frames: readonly StackFrame[]): readonly StackFrame[] {
  return mapsSources ? frames.map(mapFrame) : frames;
}

function mapFrame(frame: StackFrame): StackFrame {
  const loaded = load(frame.filePath);
  const entry = loaded?.map.findEntry(frame.lineNumber - 1, frame.columnNumber - 1);
  if (!loaded || !entry || !('originalSource' in entry)) return frame;
  const filePath = toPath(entry.originalSource, loaded.directory);
  const lineNumber = entry.originalLine + 1;
  const columnNumber = entry.originalColumn + 1;
  const place = `${filePath}:${lineNumber}:${columnNumber}`;
  const text = / \(.*\)$/.test(frame.text) ? frame.text.replace(/ \(.*\)$/, ` (${place})`) : place;
  return { text, functionName: frame.functionName, filePath, lineNumber, columnNumber };
}

function toPath(source: string, directory: string): string {
  return source.startsWith('file://') ? fileURLToPath(source) : resolve(directory, source);
}

function load(file: string): LoadedMap | undefined {
  if (!file.startsWith('/') && !/^[A-Za-z]:\\/.test(file)) return undefined;
  if (!cache.has(file)) {
    if (cache.size >= MAX_CACHED) cache.clear();
    cache.set(file, read(file));
  }
  return cache.get(file);
}

function read(file: string): LoadedMap | undefined {
  try {
    const url = [...readFileSync(file, 'utf8').matchAll(SOURCE_MAP_URL)].pop()?.[1];
    if (url === undefined) return undefined;
    const inline = /^data:application\/json[^,]*?(;base64)?,(.*)$/.exec(url);
    const mapFile = inline ? file : fileURLToPath(new URL(url, pathToFileURL(file)));
    const text = inline
      ? inline[1]
        ? Buffer.from(inline[2] ?? '', 'base64').toString()
        : decodeURIComponent(inline[2] ?? '')
      : readFileSync(mapFile, 'utf8');
    const payload = JSON.parse(text) as SourceMapPayload;
    return { map: new SourceMap(payload), directory: resolve(dirname(mapFile), payload.sourceRoot ?? '') };
  } catch {
    return undefined;
  }
}
