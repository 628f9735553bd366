// SPDX-License-Identifier: Apache-2.0

/** From 0, as source maps count. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface Original extends Position {
  /** With the map's `sourceRoot`. */
  readonly source: string;
  readonly name: string | undefined;
}

/** A source map, or an index map, which is one of many: https://tc39.es/ecma426/ */
export interface RawMap {
  readonly sourceRoot?: string;
  readonly sources?: readonly (string | null)[];
  readonly names?: readonly string[];
  readonly mappings?: string;
  readonly sections?: readonly { readonly offset: Position; readonly map: RawMap }[];
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Int8Array(128).fill(-1);
for (let i = 0; i < DIGITS.length; i++) VALUES[DIGITS.charCodeAt(i)] = i;
const ABSOLUTE = /^(?:\/|[a-z][a-z\d+.-]*:)/i;
const COMMA = 44;
const SEMICOLON = 59;

/**
 * Where the code at `positions` comes from; undefined where the map does not know. Reads the mappings once from the start
 * and keeps nothing of them: `SourceMap` of Node.js makes an object of each, some hundred megabytes of a big bundle's.
 */
export function originalsAt(map: RawMap, positions: readonly Position[]): (Original | undefined)[] {
  const found: (Original | undefined)[] = positions.map(() => undefined);
  if (map.sections === undefined) {
    scan(map, positions, found);
    return found;
  }
  for (const [i, { line, column }] of positions.entries()) {
    const section = map.sections.findLast(
      ({ offset }) => offset.line < line || (offset.line === line && offset.column <= column),
    );
    if (section === undefined) continue;
    const { offset } = section;
    const inside = { line: line - offset.line, column: line === offset.line ? column - offset.column : column };
    found[i] = originalsAt(section.map, [inside])[0];
  }
  return found;
}

function scan(map: RawMap, positions: readonly Position[], found: (Original | undefined)[]): void {
  const { mappings = '', sources = [], names = [], sourceRoot = '' } = map;
  const lastLine = Math.max(...positions.map(({ line }) => line));
  /** Column of the generated code, source, line, column, name. */
  const state = [0, 0, 0, 0, 0];
  let line = 0;
  let i = 0;
  while (i < mappings.length && line <= lastLine) {
    const letter = mappings.charCodeAt(i);
    if (letter === SEMICOLON) {
      line++;
      state[0] = 0;
      i++;
      continue;
    }
    if (letter === COMMA) {
      i++;
      continue;
    }
    let fields = 0;
    for (; i < mappings.length && mappings.charCodeAt(i) !== COMMA && mappings.charCodeAt(i) !== SEMICOLON; fields++) {
      let value = 0;
      let shift = 0;
      let digit: number;
      do {
        digit = VALUES[mappings.charCodeAt(i++)] as number;
        if (digit === undefined || digit < 0) return;
        value += (digit & 31) << shift;
        shift += 5;
      } while (digit & 32);
      if (fields < 5) (state[fields] as number) += value & 1 ? -(value >> 1) : value >> 1;
    }
    for (const [k, wanted] of positions.entries()) {
      if (wanted.line !== line || (state[0] as number) > wanted.column) continue;
      const source = fields >= 4 ? sources[state[1] as number] : undefined;
      found[k] =
        typeof source === 'string'
          ? {
              source:
                sourceRoot === '' || ABSOLUTE.test(source) ? source : `${sourceRoot.replace(/\/$/, '')}/${source}`,
              line: state[2] as number,
              column: state[3] as number,
              // One that stands for this very place, and not for all from there on.
              name: fields >= 5 && state[0] === wanted.column ? names[state[4] as number] : undefined,
            }
          : undefined;
    }
  }
}
