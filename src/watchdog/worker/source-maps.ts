// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { StackFrame } from '../../types.js';
import { mapFrame } from '../map-frame.js';

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
  if (!mapsSources) return frames;
  return frames.map((frame) => {
    const loaded = load(frame.filePath);
    return loaded ? mapFrame(frame, loaded.map, loaded.directory) : frame;
  });
}

/** The files of `frames` that do not say where their maps are. */
export function filesWithoutMap(frames: readonly StackFrame[]): string[] {
  const files = new Set(frames.map(({ filePath }) => filePath));
  return [...files].filter((file) => load(file) === undefined);
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
