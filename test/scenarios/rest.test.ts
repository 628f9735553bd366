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
  const result = await run('turns');
  const { output } = result;
  expect(output.busy).toBeGreaterThanOrEqual(100);
  // In 2 s: 10 beats before it is at rest again, then 18, and what else Node.js does.
  expect(output.rest).toBeLessThan(45);
  expect(output.sessions).toBeLessThanOrEqual(result.heldUpMillis / FIRST_LOOK_MILLIS);
});

/** After so long without a beat the watchdog looks: as late was a thread that had no core. */
const FIRST_LOOK_MILLIS = 45;
/** A block that the machine took so much of may have no other cause. */
const WITHHELD_MILLIS = 30;

it('measures and sees a block that ends a rest as any other', async () => {
  const result = await run('blocks after a rest');
  expect(result.output.rests).toBeGreaterThanOrEqual(5);
  expect(result.blamedNames).toEqual(['70', '300', '120', '90', '200']);
  expect(result.blockSpans).toHaveLength(5);
  for (const name of result.blamedNames) {
    const own = millisOf(result.span(name), 'eventloop.block.duration');
    expectDuration(result, own, name);
    const blockSpan = result.blockSpans.find(({ parentSpanId }) => parentSpanId === result.span(name).spanId);
    if (name === '70') continue;
    // An answer takes more than 2 ms where the thread has to wait for a core as well.
    const accuracies = result.areLooksPrompt(name) ? ['during'] : ['during', 'after'];
    expect(accuracies).toContain(blockSpan?.attributes['eventloop.block.stack_accuracy']);
    expect(blockSpan?.attributes['code.function.name']).toBe('block');
    // Where the machine gave us no core in the blocks, it may be the cause, or leave none.
    const causes = result.withheldIn(name) < WITHHELD_MILLIS ? ['cpu'] : ['cpu', 'host', undefined];
    expect(causes).toContain(blockSpan?.attributes['eventloop.block.cause']);
  }
});

it('does not look at short work that ends a rest', async () => {
  const result = await run('short work after a rest');
  expect(result.blockSpans).toEqual([]);
  expect(result.output.sessions).toBeLessThanOrEqual(result.heldUpMillis / FIRST_LOOK_MILLIS);
});

it('takes a rest that signals interrupt for idle time', async () => {
  const result = await run('signals during a rest');
  expect(result.blockSpans).toEqual([]);
  expect(result.output.sessions).toBeLessThanOrEqual(result.heldUpMillis / FIRST_LOOK_MILLIS);
});

it('counts as delay that the process was stopped during a rest', async () => {
  const result = await run('stopped during a rest');
  expect(result.blamedNames).toEqual([]);
  const max = result.output.metrics['eventloop.delay']?.points.map(({ value }) => (value as { max?: number }).max);
  expect(max).toHaveLength(1);
  // It beats every 100 ms, and is stopped and continued a little after the clock was read.
  const stopped = (result.output.stoppedMillis as number) / 1000;
  expect(max?.[0]).toBeGreaterThan(stopped - 0.15);
  expect(max?.[0]).toBeLessThan(stopped + 0.1 + result.output.waitedOutsideBlocks / 1000);
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
  const causes = result.withheldIn('unannounced') < WITHHELD_MILLIS ? ['cpu'] : ['cpu', 'host', undefined];
  expect(causes).toContain(result.blockSpans[0]?.attributes['eventloop.block.cause']);
  expectDuration(result, durationOf(result.blockSpans[0] as never), 'unannounced', 50);
});

it('needs no watchdog', async () => {
  const result = await run('without the watchdog');
  expect(result.blamedNames).toEqual(['blocks']);
  expectDuration(result, millisOf(result.span('blocks'), 'eventloop.block.duration'), 'blocks');
});

it('ends with the program', async () => {
  const { code, stderr } = await runFixture('rest.cjs', { args: ['ends'] });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
