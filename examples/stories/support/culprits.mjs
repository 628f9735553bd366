// SPDX-License-Identifier: Apache-2.0
// From telemetry to the line of code, as one does by hand: the spans that blocked, their block spans, the place in these.
// It knows the names of the package's telemetry and nothing of any story.
import { readFileSync } from 'node:fs';
import { basename, relative, resolve } from 'node:path';

const STORIES = resolve(import.meta.dirname, '..');
const BLOCK_SPAN = 'event loop blocked';
const HANG_SPAN = 'event loop hang';

/** Every function that blocked, longest in all first, with the line, the span and the request of its longest block. */
export function culprits({ spans }) {
  const places = new Map();
  for (const block of blocksIn({ spans })) {
    // What the machine did to it has a row of its own.
    const key = [block.span, block.request, block.functionName, block.file, block.cause === 'host'].join('\n');
    const place = places.get(key) ?? { totalMillis: 0, longestMillis: 0, count: 0, causes: new Set() };
    if (block.millis > place.longestMillis) Object.assign(place, block, { longestMillis: block.millis });
    place.totalMillis += block.millis;
    place.count++;
    if (block.cause) place.causes.add(block.cause);
    places.set(key, place);
  }
  return [...places.values()].sort((a, b) => b.totalMillis - a.totalMillis);
}

export function blocksIn({ spans }) {
  const byId = new Map(spans.map((span) => [span.id, span]));
  return spans.filter(({ name }) => name === BLOCK_SPAN).map((span) => placeOf(span, byId, 'eventloop.block.duration'));
}

/** The latest report of a loop that is stuck. */
export function hangIn({ spans }) {
  const span = spans.findLast(({ name }) => name === HANG_SPAN);
  // The spans above it have not ended, so nobody has sent them: the log event beside it tells their name.
  return (
    span && { ...placeOf(span, new Map(), 'eventloop.hang.duration'), traceId: span.traceId, parentId: span.parentId }
  );
}

/** The request that `span` is part of. */
function rootOf(span, byId) {
  let root = span;
  while (byId.has(root.parentId)) root = byId.get(root.parentId);
  return root;
}

function placeOf(span, byId, duration) {
  const { attributes } = span;
  const blamed = byId.get(span.parentId);
  return {
    millis: attributes[duration] * 1000,
    start: span.start,
    end: span.end,
    id: span.id,
    cause: attributes['eventloop.block.cause'],
    span: blamed?.name,
    request: blamed && rootOf(blamed, byId).name,
    functionName: attributes['code.function.name'],
    path: attributes['code.file.path'],
    file: attributes['code.file.path'] && basename(attributes['code.file.path']),
    line: attributes['code.line.number'],
    accuracy: attributes['eventloop.block.stack_accuracy'],
  };
}

/** The line itself, as the file has it. */
export function lineAt({ path, line }) {
  if (!path || !line) return '';
  return readFileSync(path, 'utf8').split('\n')[line - 1]?.trim() ?? '';
}

/** Whether it is this function of this file, and the line one of its lines: from its name to the brace that ends it. */
export function isAt(place, { functionName, file }) {
  if (place?.file !== file || place.functionName?.split('.').at(-1) !== functionName) return false;
  const lines = readFileSync(place.path, 'utf8').split('\n');
  const declared = new RegExp(`^(\\s*)(?:export )?(?:async )?(?:function )?${functionName}\\(`);
  const first = lines.findIndex((line) => declared.test(line) && line.trimEnd().endsWith('{'));
  if (first < 0) return false;
  const [, indent] = declared.exec(lines[first]);
  const last = lines.findIndex((line, index) => index > first && line.startsWith(`${indent}}`));
  return place.line > first && place.line <= last + 1;
}

/** How long it blocked there in all, in milliseconds, time without a core left out: what a repair has to bring down. */
export function blockedAt(places, { functionName, file }) {
  const there = places.filter((place) => place.file === file && (!functionName || isAt(place, { functionName, file })));
  return there.filter(({ causes }) => !causes.has('host')).reduce((sum, { totalMillis }) => sum + totalMillis, 0);
}

export const describePlace = ({ functionName, path, line }) =>
  `${functionName} (${relative(STORIES, path ?? '')}:${line})`;

/**
 * Where requests wait without a block: of the spans named `name`, those of one kind of request together, longest in all first. A
 * trace says no line of them; who made the span knows it.
 */
export function waitsIn({ spans }, name) {
  const byId = new Map(spans.map((span) => [span.id, span]));
  const waits = new Map();
  for (const span of spans.filter((span) => span.name === name)) {
    const root = rootOf(span, byId);
    const wait = waits.get(root.name) ?? { request: root.name, count: 0, totalMillis: 0, longestMillis: 0 };
    const millis = span.end - span.start;
    wait.count++;
    wait.totalMillis += millis;
    wait.longestMillis = Math.max(wait.longestMillis, millis);
    waits.set(root.name, wait);
  }
  return [...waits.values()].sort((a, b) => b.totalMillis - a.totalMillis);
}

/** How long the loop was blocked in all, in milliseconds. */
export function blockedMillis({ metrics }) {
  return (metrics.get('eventloop.block.time') ?? []).reduce((sum, point) => sum + (point.asDouble ?? 0), 0) * 1000;
}

/** Percentiles of the loop's delay in milliseconds: upper bounds, the bucket's that they lie in. */
export function delay({ metrics }, share) {
  const [point] = metrics.get('eventloop.delay') ?? [];
  if (!point) return undefined;
  const counts = point.bucketCounts.map(Number);
  const total = counts.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  const bucket = counts.findIndex((count) => {
    seen += count;
    return seen >= total * share;
  });
  return Math.min(point.explicitBounds[bucket] ?? Number.POSITIVE_INFINITY, point.max) * 1000;
}
