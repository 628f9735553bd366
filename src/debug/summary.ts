// SPDX-License-Identifier: Apache-2.0
import type { Block, StackFrame } from '../types.js';
import { millisText, placeOf, type Style } from './paragraph.js';

const MAX_ROWS = 10;
const MAX_PARTS = 5;
/** A smaller part of a row's time is not worth a line. */
const MIN_PART = 0.05;

interface Row {
  readonly key: string;
  millis: number;
  count: number;
  longestMillis: number;
  /** In its longest block. */
  place: string;
  /** What the time divides into, by function. */
  readonly parts: Map<string, Part>;
}

interface Part {
  millis: number;
  readonly place: string;
}

/** Which functions blocked the loop for how long, in all. */
export class Summary {
  private readonly _rows = new Map<string, Row>();
  private _count = 0;
  private _millis = 0;

  /** @param loading what was loaded and for whom, where that was most of it. */
  add(block: Block, loading?: string): void {
    const { durationMillis, location, blamed, asyncResource } = block;
    const frame = location?.frame;
    const where = frame
      ? placeOf(frame)
      : `no stack, ${blamed[0]?.span ? `"${blamed[0].name}"` : (asyncResource ?? 'unknown')}`;
    const place = loading === undefined || frame?.loadedModule !== undefined ? where : `${loading}: ${where}`;
    const key = frame && loading === undefined ? keyOf(frame) : place;
    const row = this._rows.get(key) ?? { key, millis: 0, count: 0, longestMillis: 0, place, parts: new Map() };
    this._rows.set(key, row);
    row.millis += durationMillis;
    row.count++;
    for (const { frame, durationMillis } of block.functions) {
      const part = row.parts.get(keyOf(frame)) ?? { millis: 0, place: placeOf(frame) };
      row.parts.set(keyOf(frame), part);
      part.millis += durationMillis;
    }
    if (durationMillis > row.longestMillis) {
      row.longestMillis = durationMillis;
      row.place = place;
    }
    this._count++;
    this._millis += durationMillis;
  }

  get totals(): { readonly count: number; readonly millis: number } {
    return { count: this._count, millis: this._millis };
  }

  /** Empty where nothing blocked. */
  text(style: Style): string {
    if (this._count === 0) return '';
    const rows = [...this._rows.values()].sort((a, b) => b.millis - a.millis);
    const cells = rows
      .slice(0, MAX_ROWS)
      .flatMap((row) => [
        [millisText(row.millis), `${row.count}`, millisText(row.longestMillis), row.place],
        ...partsOf(row).map(({ place, millis }) => [millisText(millis), '', '', `  of it in ${place}`]),
      ]);
    const table = [['blocked', 'times', 'longest', 'where'], ...cells];
    const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => (row[column] as string).length)));
    const lines = table.map(([...row]) => {
      const place = row.pop();
      return `  ${row.map((cell, i) => cell.padStart(widths[i] as number)).join('  ')}  ${place}`;
    });
    const times = this._count === 1 ? 'once' : `${this._count} times`;
    const head = style.strong(`event loop blocked ${times}, ${millisText(this._millis)} in all`);
    const more = rows.length > MAX_ROWS ? [`  ... and in ${rows.length - MAX_ROWS} more functions`] : [];
    return `${[head, style.weak(lines[0] as string), ...lines.slice(1), ...more].join('\n')}\n`;
  }
}

/** Empty where all of it is one part. */
function partsOf({ parts, millis }: Row): Part[] {
  const large = [...parts.values()].filter((part) => part.millis >= millis * MIN_PART);
  return large.length > 1 ? large.sort((a, b) => b.millis - a.millis).slice(0, MAX_PARTS) : [];
}

function keyOf({ filePath, functionName }: StackFrame): string {
  return `${filePath}\n${functionName}`;
}
