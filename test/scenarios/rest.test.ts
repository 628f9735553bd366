// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import {
  durationOf,
  expectDuration,
  millisOf,
  runFixture,
  runScenario,
  ScenarioResult,
} from '../support/run-fixture.js';

const run = (name: string): Promise<ScenarioResult> => runScenario('rest.cjs', name);

it('beats rarely while nothing goes on, and often while something does', async () => {
  const { output } = await run('turns');
  expect(output.busy).toBeGreaterThan(100);
  // In 2 s: 10 beats before it is at rest again, then 18, and what else Node.js does.
  expect(output.rest).toBeLessThan(45);
  expect(output.sessions).toBe(0);
});

/** The shortest block of which the cause is asked takes 90 ms. */
const WITHHELD_MILLIS = 30;

it('measures and sees a block that ends a rest as any other', async () => {
  const result = await run('blocks after a rest');
  expect(result.output.rests).toBe(5);
  expect(result.blamedNames).toEqual(['70', '300', '120', '90', '200']);
  expect(result.blockSpans).toHaveLength(5);
  for (const name of result.blamedNames) {
    const own = millisOf(result.span(name), 'eventloop.block.duration');
    expectDuration(result, own, result.measured(name));
    const blockSpan = result.blockSpans.find(({ parentSpanId }) => parentSpanId === result.span(name).spanId);
    // A look takes a while to come: the shortest may be over by then.
    if (name === '70') continue;
    expect(blockSpan?.attributes['eventloop.block.stack_accuracy']).toBe('during');
    expect(blockSpan?.attributes['code.function.name']).toBe('block');
    // Where the machine gave us no core in the blocks, it may be the cause, or leave none.
    const causes = result.output.waitedInBlocks < WITHHELD_MILLIS ? ['cpu'] : ['cpu', 'host', undefined];
    expect(causes).toContain(blockSpan?.attributes['eventloop.block.cause']);
  }
});

it('does not look at short work that ends a rest', async () => {
  const result = await run('short work after a rest');
  expect(result.blocksOfOwnMaking).toEqual([]);
  expect(result.output.sessions).toBe(0);
});

it('takes a rest that signals interrupt for idle time', async () => {
  const result = await run('signals during a rest');
  expect(result.blockSpans).toEqual([]);
  expect(result.output.sessions).toBe(0);
});

it('counts as delay that the process was stopped during a rest', async () => {
  const result = await run('stopped during a rest');
  expect(result.blamedNames).toEqual([]);
  const max = result.output.metrics['eventloop.delay']?.points.map(({ value }) => (value as { max?: number }).max);
  expect(max).toHaveLength(1);
  expect(max?.[0]).toBeGreaterThan(0.85);
  expect(max?.[0]).toBeLessThan(1.1);
});

it('can be disabled during a rest, and enabled again', async () => {
  const result = await run('disabled during a rest');
  expect(result.output.restsBefore).toBe(1);
  expect(result.blamedNames).toEqual(['blocks']);
  expect(result.blockSpans[0]?.attributes['code.function.name']).toBe('block');
});

it('ends with the start of a program, if that is so long', async () => {
  const result = await run('first work after a rest');
  expect(result.blockSpans).toHaveLength(1);
});

it('reports a hang that no hook has announced, and the block when it is over', async () => {
  const { code, stdout, stderr } = await runFixture('rest.cjs', { args: ['unannounced work during a rest'] });
  expect(code).toBe(0);
  // An inspector that evaluates answers no other: there is no stack.
  expect(stderr).toMatch(/event loop hangs: blocked for \d\.\d s in native code, running/);
  const result = new ScenarioResult(JSON.parse(stdout));
  expect(result.blockSpans).toHaveLength(1);
  expect(result.blockSpans[0]?.attributes['eventloop.block.cause']).toBe('cpu');
  expectDuration(result, durationOf(result.blockSpans[0] as never), result.measured('unannounced'), 50);
});

it('needs no watchdog', async () => {
  const result = await run('without the watchdog');
  expect(result.blamedNames).toEqual(['blocks']);
  expectDuration(result, millisOf(result.span('blocks'), 'eventloop.block.duration'), result.measured('blocks'));
});

it('ends with the program, at once', async () => {
  const { code, stdout, stderr } = await runFixture('rest.cjs', { args: ['ends'] });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout).exitMillis).toBeLessThan(100);
});
