// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { type FixtureSpan, runScenario, type ScenarioOptions, type ScenarioResult } from '../support/run-fixture.js';

const run = (name: string, options?: ScenarioOptions): Promise<ScenarioResult> =>
  runScenario('location.cjs', name, options);

const { resolve } = createRequire(import.meta.url);

/** Names without their places. */
function functionsOf(block: FixtureSpan): string[] {
  const names = block.attributes['eventloop.block.function_names'] as string[];
  return names.map((name) => name.replace(/ \(.*/, ''));
}

describe('a flat profile', () => {
  it.each([
    [150, 6],
    [1000, 2],
  ])('names who calls the helpers, in each block of %i ms', async (millis, times) => {
    const result = await run(`flat ${millis}`);
    const blocks = result.blockSpans.filter(({ parentSpanId }) => parentSpanId !== undefined);
    expect(blocks).toHaveLength(times);
    // A helper that stood without a core for long is where that time was spent, as far as anybody can see.
    const others = blocks.filter(({ attributes }) => attributes['code.function.name'] !== 'buildSchema');
    expect(others.length).toBeLessThanOrEqual(result.heldUpMillis / (millis / 3));
    for (const { attributes } of blocks) {
      const durations = attributes['eventloop.block.function_durations'] as number[];
      expect(durations).toEqual([...durations].sort((a, b) => b - a));
      expect(durations.length).toBeLessThanOrEqual(5);
      expect(attributes['eventloop.block.callback_count']).toBeUndefined();
    }
    const body = result.blockLogs[0]?.body;
    expect(body).toMatch(/^event loop blocked for \d+ ms by "build 0" in buildSchema \(location\.cjs:\d+:\d+\)/);
  });
});

it('tells what the time divides into where three functions share it', async () => {
  const result = await run('three functions', { isMeasuredOnce: true });
  const [block, ...more] = result.blockSpans;
  expect(more).toEqual([]);
  expect(block?.attributes['code.function.name']).toBe('build');
  const names = functionsOf(block as never);
  const durations = block?.attributes['eventloop.block.function_durations'] as number[];
  expect(new Set(names.slice(0, 3))).toEqual(new Set(['parse', 'transform', 'render']));
  for (const seconds of durations.slice(0, 3)) {
    expect(Math.abs(seconds - 0.4)).toBeLessThan(0.1 + result.heldUpMillis / 1000);
  }
  // A look that finds a function only just entered vouches for who called it.
  for (const seconds of durations.slice(3)) expect(seconds).toBeLessThan(0.05 + result.heldUpMillis / 1000);
  expect(['build', undefined]).toContain(names[3]);
});

it('leads with file, line and column where a library is published minified, without a map', async () => {
  const env = {
    PRETTIER_TYPESCRIPT: resolve('prettier/plugins/typescript'),
    DECLARATIONS: resolve('typescript/lib/lib.dom.d.ts'),
  };
  const result = await run('a library that is published minified', { env });
  const [block] = result.blockSpans.filter(({ parentSpanId }) => parentSpanId === result.span('format').spanId);
  const { body } = result.blockLogs.find(({ spanId }) => spanId === result.span('format').spanId) ?? {};
  expect(block?.attributes['code.file.path']).toMatch(/prettier\/plugins\/typescript\.js$/);
  const line = block?.attributes['code.line.number'];
  const column = block?.attributes['code.column.number'];
  const name = block?.attributes['code.function.name'] as string;
  const file = block?.attributes['code.file.path'];
  expect(name).toMatch(/^[\w$]{1,2}$/);
  expect(body).toContain(` by "format" in ${file}:${line}:${column} (${name})`);
});

it('counts no part as its own where the application ends a span', async () => {
  const result = await run('a slow span processor');
  const names = result.output.logs.flatMap(
    ({ attributes }) => attributes['eventloop.block.function_names'] as string[],
  );
  expect(names).toContainEqual(expect.stringMatching(/^parse \(location\.cjs:/));
  expect(names.filter((name) => /hooks\/|dist\//.test(name))).toEqual([]);
  expect(names).toContainEqual(expect.stringMatching(/^end \(.*opentelemetry.*Span\.[jt]s:/));
});

it('never names for a long native call the sibling that is called next', async () => {
  const result = await run('native call, then a sibling', { isMeasuredOnce: true });
  const parts = result.output.parts as { serialize: number[]; write: number[] };
  const names = result.blockSpans.map(({ attributes }) => attributes['code.function.name']);
  expect(names.length).toBeGreaterThanOrEqual(3);
  // On a machine that gives it no core while it writes, that takes longer than it does itself.
  const writes = parts.write.filter((millis, i) => millis > (parts.serialize[i] as number) / 3).length;
  expect(names.filter((name) => name === 'writer').length).toBeLessThanOrEqual(writes);
  // Not where the block was over before an answer came.
  const named = names.filter((name) => name === 'serialize' || name === 'save');
  expect(named.length).toBeGreaterThan(0);
});

describe('a pile of callbacks', () => {
  it('says how many there were, and which function most of them', async () => {
    const result = await run('many callbacks');
    // What the machine made a block had none.
    const ofMany = result.blockSpans.filter((one) => 'eventloop.block.callback_count' in one.attributes);
    expect(ofMany).toHaveLength(1);
    const [block] = ofMany;
    const count = block?.attributes['eventloop.block.callback_count'];
    expect(count).toBeGreaterThanOrEqual(200);
    expect(count).toBeLessThanOrEqual(210);
    expect(block?.attributes['code.function.name']).toBe('small');
    const log = result.output.logs.find(({ attributes }) => 'eventloop.block.callback_count' in attributes);
    expect(log?.body).toMatch(
      new RegExp(
        `^event loop blocked for \\d+ ms by ${count} callbacks, most of them small \\(location\\.cjs:\\d+:\\d+\\)$`,
      ),
    );
  });

  it('is none where one of them took the time', async () => {
    const result = await run('one call beside many callbacks');
    const [piece] = result.output.blocks;
    const block = result.blockSpans.find(
      ({ startTime, endTime }) => startTime < (piece?.endTime ?? 0) && endTime > (piece?.startTime ?? 0),
    );
    expect(block).toBeDefined();
    expect(block?.attributes).not.toHaveProperty('eventloop.block.callback_count');
    expect(result.output.logs.map(({ body }) => body).join()).not.toContain('callbacks');
  });

  it('are five hundred connections that speak at once', async () => {
    const result = await run('many connections');
    const counts = result.output.spans.map(({ attributes }) =>
      Number(attributes['eventloop.block.callback_count'] ?? 0),
    );
    // What comes out of one poll.
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(450);
    const { body } = result.output.logs.find(({ attributes }) => attributes['eventloop.block.callback_count']) as never;
    expect(body).toMatch(/ by \d+ callbacks, most of them small \(location\.cjs:/);
  });
});

describe('who, as a person says it', () => {
  it('has the route that the span got since', async () => {
    const result = await run('a name that comes later');
    const { attributes, body } =
      result.blockLogs.find(({ spanId }) => spanId === result.span('GET /users/:id').spanId) ?? {};
    expect(body).toMatch(/^event loop blocked for \d+ ms by "GET \/users\/:id"/);
    expect(attributes?.['eventloop.block.span_names']).toContain('GET /users/:id');
  });

  it('counts spans of one name', async () => {
    const result = await run('four of one name');
    expect(result.blockLogs[0]?.body).toMatch(/^event loop blocked for \d+ ms by 4 × "GET \/x"/);
  });

  it('is a request and the middleware with most of it', async () => {
    const result = await run('one request through its middleware');
    const { attributes, body } = result.blockLogs[0] ?? {};
    // Without a core for so long one may have blocked alone.
    if (result.heldUpMillis >= 15 && attributes?.['eventloop.block.shared'] === false) return;
    expect(attributes?.['eventloop.block.shared']).toBe(true);
    // The fifth, unless the machine has held up another.
    const names = attributes?.['eventloop.block.span_names'] as string[];
    const [longest] = names.filter((name) => name !== 'GET /report');
    if (result.heldUpMillis < 5) expect(longest).toBe('middleware - 5');
    expect(body).toMatch(`by "GET /report", longest in "${longest}"`);
  });
});
