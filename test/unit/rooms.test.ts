// SPDX-License-Identifier: Apache-2.0
// The house: which rooms there are, and who may know whom. What is measured goes one way, and nobody reads it back.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';
import { expect, it } from 'vitest';

const SRC = resolve(import.meta.dirname, '../../src');

/** What everybody may import: names and types, nothing that does anything. */
const VOCABULARY = ['types', 'model', 'semconv', 'version'];

/**
 * In the order of the flow: each room, and what of the others it may import. Whoever comes first in it measures, and
 * hands over to interfaces that it has declared itself; only `instrumentation` knows all of them.
 */
const ROOMS: Record<string, readonly string[]> = {
  // What the machine tells, and what there is of OpenTelemetry.
  system: [],
  otel: [],
  // What the user says.
  config: ['otel'],
  // What Node.js tells → whose time it was → an Iteration.
  hooks: ['system', 'otel', 'recorder'],
  recorder: ['system', 'otel'],
  following: ['system', 'otel', 'hooks', 'recorder'],
  // What is seen from outside: StackSamples.
  watchdog: ['system', 'otel', 'config', 'block', 'words'],
  delay: ['system'],
  // An Iteration with StackSamples and Evidence → a Block.
  monitor: ['system', 'otel', 'config', 'recorder', 'following', 'watchdog', 'delay', 'block'],
  block: ['otel'],
  // A Block → telemetry.
  words: [],
  report: ['system', 'otel', 'config', 'delay', 'block', 'words'],
  // Wiring, and what is built upon all of it.
  'debug-sink': ['recorder'],
  instrumentation: [
    'system',
    'otel',
    'config',
    'recorder',
    'following',
    'watchdog',
    'delay',
    'monitor',
    'report',
    'debug-sink',
  ],
  preload: ['config', 'instrumentation'],
  debug: [
    'system',
    'otel',
    'config',
    'watchdog',
    'block',
    'words',
    'report',
    'debug-sink',
    'instrumentation',
    'preload',
  ],
  // A program of its own, and what it sends into another process.
  attach: ['system', 'otel', 'config', 'watchdog', 'block', 'words', 'debug', 'debug-sink', 'instrumentation'],
  index: ['system', 'instrumentation'],
  register: ['system', 'preload'],
  // The file `debug.ts`.
  'debug.ts': ['system', 'debug', 'debug-sink'],
};

/** Of the vocabulary only the names are known to each other. */
const OF_VOCABULARY: Record<string, readonly string[]> = { model: ['types'] };

type Import = readonly [from: string, to: string];

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
  .map((file) => file.replaceAll('\\', '/'));
const imports = files.flatMap((file): Import[] => {
  const { importedFiles } = ts.preProcessFile(readFileSync(join(SRC, file), 'utf8'), true, true);
  return importedFiles.flatMap(({ fileName }): Import[] =>
    fileName.startsWith('.') ? [[file, join(dirname(file), fileName).replace(/\.js$/, '.ts')]] : [],
  );
});

/** The room that a file is in: its folder, or the file itself where it is in none. */
function roomOf(file: string): string {
  const [folder = '', ...rest] = file.split('/');
  if (rest.length > 0) return folder;
  return file === 'debug.ts' ? file : file.replace(/\.ts$/, '');
}

/** What of these imports runs against the flow. */
function against(found: readonly Import[]): string[] {
  return found.flatMap(([from, to]) => {
    const [room, other] = [roomOf(from), roomOf(to)];
    const allowed = ROOMS[room] ?? OF_VOCABULARY[room] ?? [];
    const isAllowed = room === other || allowed.includes(other) || (room in ROOMS && VOCABULARY.includes(other));
    return isAllowed ? [] : [`${from} imports ${to}: ${room} is to know nothing of ${other}`];
  });
}

/** A way from a node back to itself, if there is one. */
function circleIn(edges: ReadonlyMap<string, Iterable<string>>): readonly string[] | undefined {
  const done = new Set<string>();
  const walk = (node: string, way: readonly string[]): readonly string[] | undefined => {
    if (way.includes(node)) return [...way.slice(way.indexOf(node)), node];
    if (done.has(node)) return undefined;
    for (const next of edges.get(node) ?? []) {
      const circle = walk(next, [...way, node]);
      if (circle) return circle;
    }
    done.add(node);
    return undefined;
  };
  for (const node of edges.keys()) {
    const circle = walk(node, []);
    if (circle) return circle;
  }
  return undefined;
}

function toEdges(pairs: readonly Import[]): Map<string, Set<string>> {
  const edges = new Map<string, Set<string>>();
  for (const [from, to] of pairs) edges.set(from, (edges.get(from) ?? new Set()).add(to));
  return edges;
}

it('has no import against the flow', () => {
  const lines = Object.entries(ROOMS).map(([room, others]) => `  ${room.padEnd(16)} ${others.join(', ') || 'nobody'}`);
  console.log(`rooms in the order of the flow, and whom each may import:\n${lines.join('\n')}`);
  expect(against(imports)).toEqual([]);
});

it('has no circle, of rooms or of files', () => {
  expect(circleIn(new Map(Object.entries(ROOMS)))).toBeUndefined();
  expect(circleIn(toEdges(imports))).toBeUndefined();
});

it('lists each room that there is, and no import that nobody needs', () => {
  expect([...new Set(files.map(roomOf))].sort()).toEqual([...Object.keys(ROOMS), ...VOCABULARY].sort());
  const used = new Set(imports.map(([from, to]) => `${roomOf(from)} → ${roomOf(to)}`));
  const idle = Object.entries(ROOMS).flatMap(([room, others]) => others.map((other) => `${room} → ${other}`));
  expect(idle.filter((arrow) => !used.has(arrow))).toEqual([]);
});

it('would notice', () => {
  expect(against([['report/spans.ts', 'recorder/recorder.ts']])).toEqual([
    'report/spans.ts imports recorder/recorder.ts: report is to know nothing of recorder',
  ]);
  expect(against([['recorder/recorder.ts', 'monitor/watch.ts']])).toHaveLength(1);
  expect(against([['types.ts', 'block/blame.ts']])).toHaveLength(1);
  expect(
    circleIn(
      toEdges([
        ['a', 'b'],
        ['b', 'c'],
        ['c', 'b'],
      ]),
    ),
  ).toEqual(['b', 'c', 'b']);
});
