// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import {
  expectDuration,
  type FixtureSpan,
  millisOf,
  runScenario,
  type ScenarioResult,
  SURROUNDINGS_MILLIS,
} from '../support/run-fixture.js';

const run = (name: string): Promise<ScenarioResult> => runScenario('block-span.cjs', name);

/** What the span itself covers, which need not be the whole block. */
const lengthOf = ({ startTime, endTime }: FixtureSpan): number => endTime - startTime;

function theOnly<T>(items: readonly T[]): T {
  expect(items).toHaveLength(1);
  return items[0] as T;
}

/** Telemetry is for people: seconds have six decimals at most. */
function expectRounded(result: ScenarioResult): void {
  const numbers = [...result.output.spans, ...result.output.logs].flatMap(({ attributes }) =>
    Object.entries(attributes).flatMap(([name, value]) =>
      name.startsWith('eventloop.') ? [value].flat().filter((item) => typeof item === 'number') : [],
    ),
  );
  expect(numbers.length).toBeGreaterThan(4);
  for (const number of numbers) expect(number).toBe(Number(number.toFixed(6)));
}

describe('the block span makes no trace longer', () => {
  it('where the blamed span ends inside its block', async () => {
    const result = await run('ends inside its block');
    const request = result.span('request');
    const block = theOnly(result.blockSpans);
    expect(block.parentSpanId).toBe(request.spanId);
    expect(block.endTime).toBeLessThanOrEqual(request.endTime);
    expectDuration(result, lengthOf(block), 'request');
    const whole = result.measured('request') + result.measured('behind its end');
    expectDuration(result, millisOf(block, 'eventloop.block.duration'), whole);
    expect(theOnly(result.blockLogs).attributes['eventloop.block.duration']).toBe(
      block.attributes['eventloop.block.duration'],
    );
    expect(request.attributes['eventloop.blocked']).toBe(true);
    expect(block.attributes['eventloop.blocked']).toBeUndefined();
    expectRounded(result);
  });

  it('where the blamed span starts inside its block', async () => {
    const result = await run('starts inside its block');
    const request = result.span('request');
    const block = theOnly(result.blockSpans);
    expect(block.parentSpanId).toBe(request.spanId);
    expect(block.startTime).toBeGreaterThanOrEqual(request.startTime);
    expectDuration(result, lengthOf(block), 'request');
    const whole = result.measured('before it') + result.measured('request');
    expectDuration(result, millisOf(block, 'eventloop.block.duration'), whole);
  });

  it('where the blamed span ends right behind it', async () => {
    const result = await run('ends right behind its block');
    const own = result.appSpans.filter(({ name }) => name.startsWith('request'));
    expect(own).toHaveLength(10);
    for (const request of own) {
      const block = theOnly(result.blockSpans.filter(({ parentSpanId }) => parentSpanId === request.spanId));
      expect(block.startTime).toBeGreaterThanOrEqual(request.startTime);
      expect(block.endTime).toBeLessThanOrEqual(request.endTime);
      expectDuration(result, lengthOf(block), request.name);
    }
  });
});

describe('a blamed span that had ended', () => {
  it.each(['a moment', 'half a minute'])('%s before has the block below it, which speaks for it', async (when) => {
    const result = await run(`ended ${when} before`);
    const request = result.span('request');
    const block = theOnly(result.blockSpans);
    expect(block).toMatchObject({ traceId: request.traceId, parentSpanId: request.spanId, links: [] });
    expect(request.attributes['eventloop.blocked']).toBeUndefined();
    expect(block.attributes['eventloop.blocked']).toBe(true);
    expectDuration(result, millisOf(block, 'eventloop.block.duration'), 'request');
    // Nothing of it lies in the span's life.
    expectDuration(result, lengthOf(block), 'request');
    expect(theOnly(result.blockLogs)).toMatchObject({ traceId: request.traceId, spanId: request.spanId });
    expectRounded(result);
    expect(result.output.diagLines).toEqual([]);
  });

  it('is that of a request that a server had answered', async () => {
    const result = await run('request: blocks behind its answer');
    const request = result.span('/export');
    const block = theOnly(result.blockSpans);
    expect(block).toMatchObject({ traceId: request.traceId, parentSpanId: request.spanId, links: [] });
    expect(request.attributes['eventloop.blocked']).toBeUndefined();
    expect(block.attributes['eventloop.blocked']).toBe(true);
    expectDuration(result, millisOf(block, 'eventloop.block.duration'), '/export');
    expect(theOnly(result.blockLogs).body).toMatch('by "/export" in block (');
  });

  it('minutes before has its trace left alone', async () => {
    const result = await run('ended minutes before');
    const request = result.span('request');
    const block = theOnly(result.blockSpans);
    expect(block.parentSpanId).toBeUndefined();
    expect(block.traceId).not.toBe(request.traceId);
    expect(block.links).toEqual([request.spanId]);
    expect(block.attributes['eventloop.blocked']).toBe(true);
    expectDuration(result, lengthOf(block), 'request');
    // The log event is no part of a trace's length.
    expect(theOnly(result.output.logs.filter(({ spanId }) => spanId === request.spanId)).body).toMatch('by "request"');
  });
});

describe('a waiting span that ends in the midst of a block', () => {
  /** Of each block: who has its span, and for how long it says that it was. */
  function expectBlocks(
    result: ScenarioResult,
    blocks: readonly (readonly [parent: string | undefined, measured: number])[],
  ): void {
    expect(result.blockSpans.map(({ parentSpanId }) => parentSpanId)).toEqual(
      blocks.map(([name]) => name && result.span(name).spanId),
    );
    expect(result.blockLogs.map(({ spanId }) => spanId)).toEqual(
      blocks.map(([name]) => name && result.span(name).spanId),
    );
    for (const [i, [, measured]] of blocks.entries()) {
      const block = result.blockSpans[i] as FixtureSpan;
      expectDuration(result, millisOf(block, 'eventloop.block.duration'), measured);
      expect(result.blockLogs[i]?.attributes).toMatchObject(block.attributes);
      expect(
        (block.attributes['eventloop.block.span_durations'] as number[]).reduce((sum, part) => sum + part),
      ).toBeCloseTo(block.attributes['eventloop.block.duration'] as number, 2);
    }
    const points = result.output.metrics['eventloop.block.duration']?.points ?? [];
    const counts = points.map(({ value }) => (value as { count: number }).count);
    const all = result.output.spans.filter(({ name }) => name === 'event loop blocked');
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(all.length);
    expect(result.output.diagLines).toEqual([]);
  }

  it('is linked to the part that it waited for, and what another blocks on is a block of its own', async () => {
    const result = await run('another blocks on behind a waiter');
    expectBlocks(result, [
      ['A', result.measured('A')],
      ['C', result.measured('C')],
    ]);
    const [first] = result.blockSpans as [FixtureSpan];
    expect(result.span('waiter').attributes['eventloop.stalled']).toBe(true);
    expect(result.span('waiter').links).toEqual([first.spanId]);
    expect(result.blamedNames).toEqual(['A', 'C']);
    expect(result.blockLogs[0]?.body).toMatch('by "A"');
    expect(result.blockLogs[1]?.body).toMatch('by "C" in block (');
  });

  it('as a request that waits for its database, beside two that block, on a real server', async () => {
    const result = await run('requests: another blocks on behind one that waited');
    expectBlocks(result, [
      ['/A', result.measured('/A')],
      ['/C', result.measured('/C')],
    ]);
    const [first] = result.blockSpans as [FixtureSpan];
    expect(result.span('/waiter').links).toEqual([first.spanId]);
    expect(result.blamedNames.sort()).toEqual(['/A', '/C']);
    expect(result.blockLogs[1]?.body).toMatch('by "/C"');
  });

  it('leaves the block of code under no span to nobody', async () => {
    const result = await run('code under no span blocks on behind a waiter');
    const names = ['S', 'p', 'q', 'r'];
    const small = names.reduce((sum, name) => sum + result.measured(name), 0);
    // S, but where the machine withholds its core from another.
    const [largest] = names.sort((a, b) => result.measured(b) - result.measured(a));
    expectBlocks(result, [
      [largest, small],
      [undefined, result.measured('nobody')],
    ]);
    expect(result.span('waiter').links).toEqual([result.blockSpans[0]?.spanId]);
  });

  it('parts nothing where the same blocks on', async () => {
    const result = await run('the same blocks on behind a waiter');
    expectBlocks(result, [['A', result.measured('A') + result.measured('waiter')]]);
    expect(result.blamedNames).toEqual(['A']);
  });

  it('parts nothing where another has as much in the end', async () => {
    const result = await run('another takes as much behind a waiter');
    const whole = ['A', 'C', 'waiter'].reduce((sum, name) => sum + result.measured(name), 0);
    expectBlocks(result, [['A', whole]]);
    const [block] = result.blockSpans as [FixtureSpan];
    expect(block.links).toEqual([result.span('C').spanId]);
    // And what the machine has made of it, under no span, where it gave us no core for so long.
    expect(result.blockLogs[0]?.body).toMatch(/by "A"(?: and|,) "C"/);
    expectDuration(
      result,
      millisOf(result.span('C'), 'eventloop.block.duration'),
      result.measured('C'),
      SURROUNDINGS_MILLIS,
    );
  });
});
