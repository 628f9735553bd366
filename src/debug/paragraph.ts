// SPDX-License-Identifier: Apache-2.0
import { styleText } from 'node:util';
import { describeFrame } from '../report/code.js';
import type { Block, StackFrame } from '../types.js';

const MAX_FRAMES = 10;

const CAUSES = {
  cpu: 'cpu',
  wait: 'wait (synchronous)',
  gc: 'gc (garbage collection)',
  host: 'host (no core, or stopped)',
};

/** How parts of the text are set off, on a terminal. */
export interface Style {
  strong(text: string): string;
  mark(text: string): string;
  weak(text: string): string;
}

export function styleFor(hasColors: boolean): Style {
  const asIs = (text: string): string => text;
  if (!hasColors) return { strong: asIs, mark: asIs, weak: asIs };
  // It would look at stdout, from 20.19 and 22.13 on; and this is stderr, which has been looked at.
  const options = { validateStream: false };
  return {
    strong: (text) => styleText(['bold', 'red'], text, options),
    mark: (text) => styleText('yellow', text, options),
    weak: (text) => styleText('gray', text, options),
  };
}

/** A block as a person wants to read it: how long, who, why, and the stack with the culprit marked. */
export function paragraph(block: Block, style: Style): string {
  const { location } = block;
  return `${headline(block, style)}\n${location ? stackText(location.stack, location.accuracy, style) : ''}`;
}

/** `event loop blocked for 412 ms by "GET /report" (cause: cpu, in: HTTPINCOMINGMESSAGE)` */
export function headline(block: Block, style: Style): string {
  const { cause, asyncResource } = block;
  const reasons = [cause && `cause: ${CAUSES[cause]}`, asyncResource && `in: ${asyncResource}`].filter(Boolean);
  const head = `event loop blocked for ${millisText(block.durationMillis)}`;
  const why = reasons.length > 0 ? ` (${reasons.join(', ')})` : '';
  return `${style.strong(head)}${byWhom(block)}${why}`;
}

/** ` by "GET /report"`; nothing where no span ran: without an SDK there are none. */
function byWhom({ blamed, shared, shares }: Block): string {
  const names = blamed.flatMap(({ span, name }) => (span ? [`"${name}"`] : []));
  if (names.length === 0) return '';
  if (names.length < blamed.length) names.push('code under no span');
  return shared && shares.length > 1
    ? ` by ${shares.length} spans together, most of it under ${names.join(' and ')}`
    : ` by ${names.join(' and ')}`;
}

/** The application's own frames; the libraries' that call them are counted only. */
function stackText(stack: readonly StackFrame[], accuracy: string, style: Style): string {
  const [culprit, ...callers] = stack as [StackFrame, ...StackFrame[]];
  const lines = [style.mark(`  > ${placeOf(culprit)}${accuracy === 'after' ? ', or earlier in this function' : ''}`)];
  let hidden = 0;
  for (const frame of callers) {
    if (LIBRARY.test(frame.filePath) || lines.length >= MAX_FRAMES) {
      hidden++;
      continue;
    }
    if (hidden > 0) lines.push(style.weak(countText(hidden)));
    hidden = 0;
    lines.push(`    ${frame.text.startsWith('async ') ? 'async ' : ''}${placeOf(frame)}`);
  }
  if (hidden > 0) lines.push(style.weak(countText(hidden)));
  return `${lines.join('\n')}\n`;
}

const LIBRARY = /[/\\]node_modules[/\\]|^node:|^$/;

function countText(frames: number): string {
  return `    ... ${frames} more ${frames === 1 ? 'frame' : 'frames'}`;
}

/** `buildReport (src/report.ts:42:7)`; the name alone of what is built into V8. */
export function placeOf(frame: StackFrame): string {
  return frame.filePath === '' ? `${frame.functionName} (native)` : describeFrame(frame);
}

export function millisText(millis: number): string {
  return `${Math.round(millis)} ms`;
}
