// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { durationOf, expectDuration, millisOf, runScenario, type ScenarioResult } from '../support/run-fixture.js';

const run = (name: string, nodeArgs: string[] = []): Promise<ScenarioResult> =>
  runScenario('attribution.cjs', name, { nodeArgs });

/** Exactly this span is blamed, for what the test's own clock says, and its block span hangs below it. */
function expectBlamed(result: ScenarioResult, name: string, count = 1): void {
  expect(result.blamedNames).toEqual([name]);
  const span = result.span(name);
  expect(result.blockCount(span)).toBe(count);
  expectDuration(result, millisOf(span, 'eventloop.block.duration'), name);
  expect(result.blockSpans.map((block) => block.parentSpanId)).toEqual(Array(count).fill(span.spanId));
  for (const block of result.blockSpans) {
    expect(block.traceId).toBe(span.traceId);
    expect(block.attributes['eventloop.block.shared']).toBe(false);
  }
  expect(result.output.diagLines).toEqual([]);
}

function expectNoBlock(result: ScenarioResult): void {
  expect(result.blockSpans).toEqual([]);
  expect(result.blamedNames).toEqual([]);
  expect(result.output.logs).toHaveLength(result.blocksOfTheMachine.length);
  const points = result.output.metrics['eventloop.block.duration']?.points ?? [];
  const counts = points.map(({ value }) => (value as { count: number }).count);
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(result.blocksOfTheMachine.length);
  expect(result.output.diagLines).toEqual([]);
}

describe('an HTTP server with instrumentation-http', () => {
  it('blames a handler that blocks synchronously', async () => {
    expectBlamed(await run('http handler'), '/block');
  });

  it('blames the second request on the same keep-alive socket', async () => {
    const result = await run('second request on a keep-alive socket');
    expectBlamed(result, '/block');
    expect(result.appSpans.map((span) => span.name)).toEqual(['/quick', '/block', '/quick']);
  });

  it('blames a handler that blocks after an await', async () => {
    expectBlamed(await run('after an await'), '/block');
  });

  it('blames the fifth of ten concurrent requests', async () => {
    const result = await run('ten concurrent requests, the fifth blocks');
    expectBlamed(result, '/5');
    expect(result.appSpans).toHaveLength(10);
  });
});

describe('every way in which code comes to run', () => {
  it.each(['microtask chain', 'nextTick chain'])('%s: blames the span once for all its steps', async (scenario) => {
    const result = await run(scenario);
    expectBlamed(result, 'chain');
  });

  it.each([
    ['fs callback', 'reader'],
    ['timer callback', 'timer'],
    ['stream listener', 'stream'],
    ['emitter bound with context.bind', 'listener'],
    ['child in the same tick', 'child'],
    ['two interleaved operations, the older blocks', 'older'],
    ['attach and dispose', 'attached'],
    ['exception out of a span', 'throws'],
  ])('%s: blames %s', async (scenario, name) => {
    expectBlamed(await run(scenario), name);
  });

  it('takes a chain of setImmediate for what it is: no block', async () => {
    expectNoBlock(await run('setImmediate chain'));
  });

  it('sees each of four blocks of one setInterval', async () => {
    expectBlamed(await run('setInterval four times'), 'interval', 4);
  });

  it('sums up the blocks of one span and keeps the longest', async () => {
    const result = await run('span that blocks again and again');
    expectBlamed(result, 'worker', 3);
    const longest = millisOf(result.span('worker'), 'eventloop.block.max_duration');
    const measured = Math.max(...result.output.blocks.map(({ millis }) => millis));
    expectDuration(result, longest, measured);
  });

  it('goes on after an uncaught exception', async () => {
    const result = await run('uncaught exception in a callback');
    expect(result.blamedNames.sort()).toEqual(['later', 'throws']);
    for (const name of ['throws', 'later']) {
      const blocked = millisOf(result.span(name), 'eventloop.block.duration');
      expectDuration(result, blocked, name);
    }
  });
});

describe('several spans in one iteration', () => {
  it('gives parent and child each their own time', async () => {
    const result = await run('parent, child, parent');
    expect(result.blamedNames.sort()).toEqual(['child', 'parent']);
    for (const name of ['parent', 'child']) {
      const own = millisOf(result.span(name), 'eventloop.time');
      expectDuration(result, own, name);
    }
  });

  it('blames both spans that reached the threshold, in one block', async () => {
    const result = await run('two spans over the threshold');
    expect(result.blamedNames).toEqual(['first', 'second']);
    const [block, ...more] = result.blockSpans;
    expect(more).toEqual([]);
    expect(block?.parentSpanId).toBe(result.span('second').spanId);
    expect(block?.links).toEqual([result.span('first').spanId]);
    expect(block?.attributes['eventloop.block.shared']).toBe(false);
    expect(block?.attributes['eventloop.block.span_names']).toEqual(expect.arrayContaining(['second', 'first']));
    for (const name of ['first', 'second']) {
      const blocked = millisOf(result.span(name), 'eventloop.block.duration');
      expectDuration(result, blocked, name);
    }
  });

  it('makes twenty spans of 5 ms one shared block that lists the largest', async () => {
    const result = await run('twenty spans together');
    const [block, ...more] = result.blockSpans;
    expect(more).toEqual([]);
    // One that had no core in the midst of its 5 ms blocked alone, as far as anybody can tell.
    const [longest] = [...result.output.blocks].sort((a, b) => b.millis - a.millis);
    if (longest && longest.millis >= 50) {
      expect(block?.attributes['eventloop.block.shared']).toBe(false);
      expect(block?.parentSpanId).toBe(result.span(longest.label).spanId);
      return;
    }
    expect(block?.attributes['eventloop.block.shared']).toBe(true);
    const names = block?.attributes['eventloop.block.span_names'] as string[];
    const durations = block?.attributes['eventloop.block.span_durations'] as number[];
    expect(names).toHaveLength(10);
    expect(durations).toHaveLength(10);
    // Span 7, but where another had no core for as long; each has a little beside its piece.
    expect(result.measured(names[0] as string)).toBeGreaterThan(
      (longest?.millis ?? 0) - 5 - result.output.waitedOutsideBlocks,
    );
    expect(block?.parentSpanId).toBe(result.span(names[0] as string).spanId);
    expect(durations).toEqual([...durations].sort((a, b) => b - a));
    // Where one stood without a core, those behind it may have waited for it, and are a part of their own.
    if (result.heldUpMillis < 20) expectDuration(result, durationOf(block as never), result.measuredThroughout());
    // Every one of them has ended by then, and none reached the threshold alone: nothing is written on them.
    expect(result.blamedNames).toEqual([]);
    expect(result.blockLogs[0]?.body).toMatch(/^event loop blocked for \d+ ms by \d\d spans, the longest "span \d+"/);
  });

  it('names the nearest common ancestor of thousands of tiny children', async () => {
    const result = await run('children together under one parent');
    const parent = result.span('parent');
    // As above; a child has a little beside its piece.
    if (result.output.blocks.some(({ millis }) => millis + result.output.waitedOutsideBlocks >= 45)) {
      expect(result.blockSpans.length).toBeGreaterThan(0);
      return;
    }
    expect(result.blockSpans.map((block) => block.parentSpanId)).toEqual([parent.spanId]);
    expect(result.blockSpans[0]?.attributes['eventloop.block.shared']).toBe(true);
    expect(result.blamedNames).toEqual(['parent']);
  });

  it('loses none of the slices of a parent between its tiny children', async () => {
    const result = await run('parent with many tiny children');
    expect(result.blamedNames).toEqual(['parent']);
    const own = millisOf(result.span('parent'), 'eventloop.block.duration');
    const measured = result.measured('parent');
    expect(own).toBeGreaterThan(measured - result.tolerance(measured));
    // The parent makes its children; they do nothing themselves.
    expect(own).toBeLessThanOrEqual(durationOf(result.span('parent')) + 1);
  });
});

describe('spans that cannot be written to', () => {
  it('settles a span that ends inside its own block, before it closes', async () => {
    const result = await run('span ended inside its block');
    expect(result.blamedNames).toEqual(['ended']);
    const blocked = millisOf(result.span('ended'), 'eventloop.block.duration');
    expectDuration(result, blocked, 'ended');
    // The block itself went on after the end of its span.
    expect(durationOf(result.blockSpans[0] as never)).toBeGreaterThan(
      result.measuredThroughout() - result.tolerance(140),
    );
    expect(result.output.diagLines).toEqual([]);
  });

  it('does not mark a span that merely ends inside the block of another', async () => {
    const result = await run('span ended elsewhere while another runs');
    expect(result.blamedNames.sort()).toEqual(['blocker', 'other']);
    expect(result.span('other').attributes['eventloop.block.count']).toBe(1);
    const other = millisOf(result.span('other'), 'eventloop.block.duration');
    expectDuration(result, other, 'other');
    const blocker = millisOf(result.span('blocker'), 'eventloop.block.duration');
    expectDuration(result, blocker, 'blocker');
  });

  it('writes nothing on an unsampled span and warns of nothing', async () => {
    const result = await run('unsampled span');
    expect(result.output.spans).toEqual([]);
    expect(result.output.diagLines).toEqual([]);
    // Of others, which only the machine can have made blocks, there is no span to tell.
    expect(result.output.logs.filter(({ traceId }) => traceId !== undefined)).toHaveLength(1);
    const count = result.output.logs.filter(({ eventName }) => eventName === 'eventloop.block').length;
    expect(result.output.metrics['eventloop.block.duration']?.points[0]?.value).toMatchObject({ count });
  });

  it('makes the block span a child of a remote parent under which code ran', async () => {
    const result = await run('non-recording parent from elsewhere');
    expect(result.blockSpans.map((block) => block.parentSpanId)).toEqual(['b'.repeat(16)]);
    expect(result.blockSpans[0]?.traceId).toBe('a'.repeat(32));
    expect(result.output.diagLines).toEqual([]);
  });
});

describe('nobody', () => {
  it('reports work under no span as a root block span', async () => {
    const result = await run('no span');
    expect(result.blamedNames).toEqual([]);
    const [block, ...more] = result.blockSpans;
    expect(more).toEqual([]);
    expect(block?.parentSpanId).toBeUndefined();
    expect(block?.attributes['eventloop.block.span_names']).toEqual(['(no span)']);
    const measured = result.measured('nobody');
    expectDuration(result, durationOf(block as never), measured);
    expect(result.blockLogs[0]?.body).toMatch(
      `event loop blocked for ${Math.round(durationOf(block as never))} ms in block (`,
    );
  });

  it.each(['idle for seconds', 'busy but turning'])('%s: reports nothing', async (scenario) => {
    expectNoBlock(await run(scenario));
  });
});

describe('context changes that no hook announces', () => {
  it('charges a callback of one request that another runs to the former', async () => {
    const result = await run('runInAsyncScope of another request');
    expect(result.blamedNames.sort()).toEqual(['a', 'b']);
    for (const name of ['a', 'b']) {
      const own = millisOf(result.span(name), 'eventloop.time');
      expectDuration(result, own, name);
    }
  });

  it('comes back to the promise job that ran it', async () => {
    const result = await run('runInAsyncScope from a promise job');
    expect(result.blamedNames).toEqual(['b']);
    for (const name of ['a', 'b']) {
      const own = millisOf(result.span(name), 'eventloop.time');
      expectDuration(result, own, name);
    }
  });
});

describe('durations', () => {
  it('are right from 60 to 1,000 ms, start and end as well', async () => {
    const result = await run('durations');
    expect(result.blockSpans).toHaveLength(8);
    for (const [i, block] of result.blockSpans.entries()) {
      const truth = result.output.blocks[i] as (typeof result.output.blocks)[number];
      const span = result.appSpans[i] as (typeof result.appSpans)[number];
      expect(span.name).toBe(truth.label);
      expectDuration(result, millisOf(span, 'eventloop.block.duration'), truth.label, 5);
      // What else ran in its iteration, as the report of the block before does now and then, is part of the block.
      expectDuration(result, durationOf(block), truth.label, 5);
      // The wall clock is read with whole milliseconds, on both sides.
      const allowed = result.busyBeside(truth.label, 5) + 4;
      expect(Math.abs(block.startTime - truth.startTime)).toBeLessThan(allowed);
      expect(Math.abs(block.endTime - truth.endTime)).toBeLessThan(allowed);
    }
  });
});
