// SPDX-License-Identifier: Apache-2.0
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { CodeLocation, StackFrame } from '../../types.js';
import { inSource, sourcePath } from '../map-frame.js';
import { nameModule } from '../module-name.js';
import { type Original, originalsAt, type Position, type RawMap } from './mappings.js';

/**
 * Finds what a frame is called where people write it: here and not in the main thread, which a big map would block for
 * 100 ms, and so also without `--enable-source-maps`.
 */

const SOURCE_MAP_URL = /^\/\/[#@] ?sourceMappingURL=(\S+)\s*$/gm;
/** The comment stands at the end. Bytes. */
const TAIL_BYTES = 4096;
/** Or an inline map does, which is longer. */
const ONLY_BASE64 = /^[\w+/=%]+\s*$/;
/** What a map may have, and what all that are kept may have, in letters. */
const MAX_MAP = 64 * 1024 * 1024;
const MAX_KEPT = 16 * 1024 * 1024;
const MAX_KNOWN_FILES = 1_000;

interface LoadedMap {
  readonly map: RawMap;
  readonly directory: string;
  readonly size: number;
}

/** Where the map of a file is: a path, an inline map, or nowhere. */
const urls = new Map<string, string | undefined>();
/** The latest last. */
const maps = new Map<string, LoadedMap | undefined>();

/** Whether on disk something says where the map of `file` is. */
export function hasMap(file: string): boolean {
  return mapUrlOf(file) !== undefined;
}

/** `location` in its source, as far as {@link resolveFrames} knows it. */
export function resolveLocation(location: CodeLocation): CodeLocation {
  const stack = resolveFrames(location.stack);
  return { ...location, stack, frame: stack[0] ?? location.frame };
}

/** `frames` in their sources, as far as maps are to be found, and with the names of modules that they load. */
export function resolveFrames(frames: readonly StackFrame[]): StackFrame[] {
  const named = frames.map(nameModule);
  const found: StackFrame[] = [...named];
  for (const file of new Set(named.map(({ filePath }) => filePath))) {
    try {
      const loaded = load(file);
      if (loaded) mapFile(file, named, loaded, found);
    } catch {
      // They stay as they are.
    }
  }
  return found;
}

const told = new Set<string>();

/** Files of `frames` that have a map, each only once. */
export function newFilesWithMap(frames: readonly StackFrame[]): string[] {
  const files = frames.map(({ filePath }) => filePath).filter((file) => !told.has(file) && hasMap(file));
  if (told.size > MAX_KNOWN_FILES) told.clear();
  for (const file of files) told.add(file);
  return [...new Set(files)];
}

/** Files of `frames` of which nothing on disk says where their maps are. */
export function filesWithoutMap(frames: readonly StackFrame[]): string[] {
  return [...new Set(frames.map(({ filePath }) => filePath))].filter((file) => !hasMap(file));
}

function mapFile(
  file: string,
  frames: readonly StackFrame[],
  { map, directory }: LoadedMap,
  found: StackFrame[],
): void {
  const indices = frames.flatMap(({ filePath }, i) => (filePath === file ? [i] : []));
  const lines = readFileSync(file, 'utf8').split('\n');
  const positions: Position[] = [];
  const names: (number | undefined)[] = [];
  for (const i of indices) {
    const frame = frames[i] as StackFrame;
    positions.push({ line: frame.lineNumber - 1, column: frame.columnNumber - 1 });
    const name = positionOfName(frame, lines);
    names.push(name && positions.push(name) - 1);
  }
  const originals = originalsAt(map, positions);
  let at = 0;
  for (const [k, i] of indices.entries()) {
    const original = originals[at];
    const named = names[k];
    at = (named ?? at) + 1;
    if (original === undefined) continue;
    found[i] = toSource(
      frames[i] as StackFrame,
      original,
      named === undefined ? undefined : originals[named],
      directory,
    );
  }
}

function toSource(frame: StackFrame, original: Original, name: Original | undefined, directory: string): StackFrame {
  const filePath = sourcePath(original.source, directory);
  return inSource(frame, filePath, original.line + 1, original.column + 1, name?.name);
}

/** Where the name of the function stands, that the map may know another one for: at its start, or just ahead of it. */
function positionOfName(
  { functionName, startLine = 0, startColumn = 0 }: StackFrame,
  lines: readonly string[],
): Position | undefined {
  const text = lines[startLine - 1];
  const name = functionName.split('.').pop() as string;
  if (text === undefined || name === '' || name.startsWith('<')) return undefined;
  const from = startColumn - 1;
  const behind = /^(?:async\s+)?(?:function\s*\*?\s*)?/.exec(text.slice(from, from + 40))?.[0].length ?? 0;
  if (text.startsWith(name, from + behind)) return { line: startLine - 1, column: from + behind };
  const ahead = text.slice(Math.max(from - name.length - 40, 0), from);
  const match = /([\w$]+)\s*[=:]\s*(?:async\s*)?$/.exec(ahead) ?? /([\w$]+)\s*$/.exec(ahead);
  if (match?.[1] !== name) return undefined;
  return { line: startLine - 1, column: from - ahead.length + match.index };
}

function mapUrlOf(file: string): string | undefined {
  if (!isAbsolute(file)) return undefined;
  if (!urls.has(file)) {
    if (urls.size >= MAX_KNOWN_FILES) urls.clear();
    urls.set(file, findUrl(file));
  }
  return urls.get(file);
}

function findUrl(file: string): string | undefined {
  try {
    const tail = readTail(file);
    let url = lastUrl(tail);
    if (url === undefined && ONLY_BASE64.test(tail)) url = lastUrl(readFileSync(file, 'utf8'));
    if (url === undefined) return existsSync(`${file}.map`) ? `${file}.map` : undefined;
    if (url.startsWith('data:')) return url.startsWith('data:application/json') ? 'inline' : undefined;
    const path = fileURLToPath(new URL(url, pathToFileURL(file)));
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

function lastUrl(text: string): string | undefined {
  return [...text.matchAll(SOURCE_MAP_URL)].pop()?.[1];
}

function readTail(file: string): string {
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
    readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString();
  } finally {
    closeSync(descriptor);
  }
}

function load(file: string): LoadedMap | undefined {
  const known = maps.get(file);
  if (known !== undefined) {
    maps.delete(file);
    maps.set(file, known);
    return known;
  }
  const url = mapUrlOf(file);
  if (url === undefined) return undefined;
  const mapFile = url === 'inline' ? file : url;
  const text = url === 'inline' ? inlineMap(file) : readFileSync(url, 'utf8');
  if (text.length > MAX_MAP) return undefined;
  const { sourcesContent: _, ...map } = JSON.parse(text.replace(/^\)\]\}'[^\n]*\n/, ''));
  const loaded = { map, directory: dirname(mapFile), size: text.length };
  maps.set(file, loaded);
  let kept = [...maps.values()].reduce((sum, value) => sum + (value?.size ?? 0), 0);
  for (const [old, value] of maps) {
    if (kept <= MAX_KEPT) break;
    maps.delete(old);
    kept -= value?.size ?? 0;
  }
  return loaded;
}

function inlineMap(file: string): string {
  const url = lastUrl(readFileSync(file, 'utf8')) ?? '';
  const [, base64, content = ''] = /^data:application\/json[^,]*?(;base64)?,(.*)$/.exec(url) ?? [];
  return base64 ? Buffer.from(content, 'base64').toString() : decodeURIComponent(content);
}
