// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { expectDuration, millisOf, runScenario } from '../support/run-fixture.js';

it.each(['tracer provider first', 'tracer provider afterwards', 'tracer provider much later'])(
  'finds its place with the %s',
  async (scenario) => {
    const result = await runScenario('setup.cjs', scenario);
    expect(result.blamedNames).toEqual(['blocked']);
    const blocked = millisOf(result.span('blocked'), 'eventloop.block.duration');
    expectDuration(result, blocked, 'blocked');
    expect(result.blockSpans.map((block) => block.parentSpanId)).toEqual([result.span('blocked').spanId]);
    expect(result.output.diagLines).toEqual([]);
  },
);

it('is on when the user says so, and when nobody does off where its config says so', async () => {
  const result = await runScenario('setup.cjs', 'on and off');
  expect(result.blamedNames).toEqual(['asked', 'asked again', 'above the new threshold', 'on in spite of its config']);
  for (const name of result.blamedNames) {
    const blocked = millisOf(result.span(name), 'eventloop.block.duration');
    expectDuration(result, blocked, name);
  }
  // To put it on and off again, for the first time, may block as well, under no span.
  const parents = result.blockSpans.flatMap(({ parentSpanId }) => parentSpanId ?? []);
  expect(parents).toEqual(result.blamedNames.map((name) => result.span(name).spanId));
  expect(result.output.diagLines).toEqual([]);
});

it('reports spans, logs and metrics through startNodeSdk and a configuration file', async () => {
  const result = await runScenario('setup.cjs', 'startNodeSdk');
  const received = result.output.received as Record<string, string>;
  expect(received['/v1/traces']).toContain('blocked from a file');
  expect(received['/v1/traces']).toContain('eventloop.blocked');
  expect(received['/v1/traces']).toContain('event loop blocked');
  expect(received['/v1/logs']).toMatch(/event loop blocked for \d+ ms by .*"blocked from a file"/);
  expect(received['/v1/metrics']).toContain('eventloop.delay');
  expect(received['/v1/metrics']).toContain('eventloop.block.duration');
});
