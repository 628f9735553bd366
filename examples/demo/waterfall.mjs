// SPDX-License-Identifier: Apache-2.0
// One trace as lines of text: names indented by depth, bars scaled to time, the blamed span and its block picked out.
import colors from 'picocolors';

const BLOCK_SPAN = 'event loop blocked';
const MAX_LINES = 24;
const DURATION_WIDTH = 8;
const MARK_WIDTH = 10;

export const LEGEND = '━ span   █ where it blocked the event loop   ▓ event loop blocked';

/**
 * @param spans the spans of the trace
 * @param meanwhile blocks of other traces to show beside them, as `{ span, names }`
 * @param width columns of the terminal
 */
export function waterfall(spans, meanwhile, width) {
  const rows = [
    ...depthFirst(spans),
    ...meanwhile.map((block) => ({ span: block.span, depth: 0, by: block.names[0] })),
  ];
  const start = Math.min(...rows.map(({ span }) => span.start));
  const end = Math.max(...rows.map(({ span }) => span.end));
  const shown = rows.slice(0, MAX_LINES);

  const labels = shown.map(({ span, depth, by }) => '  '.repeat(depth) + (by ? `blocked by "${by}"` : span.name));
  const labelWidth = Math.min(Math.max(...labels.map((label) => label.length)), Math.floor(width * 0.44));
  const barWidth = width - labelWidth - DURATION_WIDTH - MARK_WIDTH - 4;
  const column = (time) => Math.min(Math.max(Math.floor(((time - start) / (end - start)) * barWidth), 0), barWidth - 1);

  const lines = shown.map(({ span }, i) => {
    const blocked = span.attributes['eventloop.blocked'] === true;
    const isBlock = span.name === BLOCK_SPAN;
    const paint = blocked || isBlock ? colors.red : colors.cyan;
    const ownBlocks = spans.filter((other) => other.name === BLOCK_SPAN && other.parentId === span.id);
    const bar = Array.from({ length: barWidth }, (_, x) => {
      if (x < column(span.start) || x > column(span.end)) return ' ';
      if (isBlock) return '▓';
      return blocked && ownBlocks.some((block) => x >= column(block.start) && x <= column(block.end)) ? '█' : '━';
    });
    const label = shorten(labels[i], labelWidth).padEnd(labelWidth);
    const duration = formatMillis(span.end - span.start).padStart(DURATION_WIDTH);
    const picked = blocked || isBlock;
    const mark = blocked ? ` ◀ ${formatMillis(span.attributes['eventloop.block.duration'] * 1000)}` : ' ◀';
    return `${picked ? colors.bold(label) : label}  ${paint(bar.join(''))} ${duration}${picked ? colors.red(mark) : ''}`;
  });
  if (rows.length > MAX_LINES) lines.push(colors.dim(`… and ${rows.length - MAX_LINES} more spans`));
  return lines;
}

/** Parents before their children, siblings in the order in which they started. */
function depthFirst(spans) {
  const ids = new Set(spans.map((span) => span.id));
  const childrenOf = (id) =>
    spans
      .filter((span) => (id === undefined ? !ids.has(span.parentId) : span.parentId === id))
      .sort((a, b) => a.start - b.start);
  const visit = (span, depth) => [{ span, depth }, ...childrenOf(span.id).flatMap((child) => visit(child, depth + 1))];
  return childrenOf(undefined).flatMap((root) => visit(root, 0));
}

export function formatMillis(millis) {
  if (millis >= 1000) return `${(millis / 1000).toFixed(2)} s`;
  return `${millis < 9.95 ? millis.toFixed(1) : Math.round(millis)} ms`;
}

/** Shortens a text that is too long in its middle: names of spans differ at both ends. */
export function shorten(text, width) {
  if (text.length <= width) return text;
  const head = Math.ceil((width - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (width - 1 - head))}`;
}
