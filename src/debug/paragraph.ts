// SPDX-License-Identifier: Apache-2.0
import { styleText } from 'node:util';
import { ANONYMOUS } from '../block/call-tree.js';
import type { Block, CodeLocation, StackFrame } from '../types.js';
import { describeFrame, isForeign } from '../words/code.js';
import { describeWhose } from '../words/sentence.js';

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
  if (!location) return `${headline(block, style)}\n`;
  const lines = [headline(block, style), ...stackLines(location, style), ...partLines(block, location)];
  return `${lines.join('\n')}\n`;
}

/** `event loop blocked for 412 ms by "GET /report" (cause: cpu, in: HTTPINCOMINGMESSAGE)` */
export function headline(block: Block, style: Style): string {
  const { cause, asyncResource } = block;
  const reasons = [cause && `cause: ${CAUSES[cause]}`, asyncResource && `in: ${asyncResource}`].filter(Boolean);
  const [, head = '', who = ''] = /^(event loop blocked for \d+ ms)(.*)$/s.exec(describeWhose(block)) ?? [];
  return `${style.strong(head)}${who}${reasons.length > 0 ? ` (${reasons.join(', ')})` : ''}`;
}

/** All functions of the application's own, each once; the libraries' that call them are counted only. */
export function stackLines({ stack, accuracy, share }: CodeLocation, style: Style): string[] {
  const [culprit, ...callers] = stack as [StackFrame, ...StackFrame[]];
  const remarks = [share < 0.5 && percent(share), accuracy === 'after' && 'or earlier in this function'].filter(
    Boolean,
  );
  const lines = [style.mark(`  > ${[placeOf(culprit), ...remarks].join(', ')}`)];
  const printed = new Set([functionOf(culprit)]);
  let hidden = 0;
  for (const frame of callers) {
    if (isForeign(frame) || printed.has(functionOf(frame))) {
      hidden++;
      continue;
    }
    printed.add(functionOf(frame));
    if (hidden > 0) lines.push(style.weak(countText(hidden)));
    hidden = 0;
    lines.push(`    ${frame.text.startsWith('async ') ? 'async ' : ''}${placeOf(frame)}`);
  }
  if (hidden > 0) lines.push(style.weak(countText(hidden)));
  return lines;
}

/** Recursion is not worth a line for each call. Functions without a name are told apart by where they stand. */
function functionOf({ functionName, filePath, lineNumber }: StackFrame): string {
  return `${filePath}\n${functionName === ANONYMOUS ? lineNumber : functionName}`;
}

/** What the time divides into, where that is more than one function. */
function partLines({ functions, hottest, durationMillis }: Block, location: CodeLocation): string[] {
  const parts = functions.map(({ frame, durationMillis }) => ({
    millis: durationMillis,
    place: placeOf(frame) === placeOf(location.frame) ? `${placeOf(frame)} itself` : placeOf(frame),
  }));
  const lines = parts.length > 1 ? parts.map(({ millis, place }) => ({ text: millisText(millis), place })) : [];
  const width = Math.max(...lines.map(({ text }) => text.length));
  return [
    ...lines.map(({ text, place }, i) => `    ${i === 0 ? 'of it ' : '      '}${text.padStart(width)} in ${place}`),
    ...(hottest
      ? [`    most by itself: ${placeOf(hottest.frame)}, ${percent(hottest.selfMillis / durationMillis)}`]
      : []),
  ];
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

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
