// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { runScenario } from '../support/run-fixture.js';

it('survives resources that cannot be read, and goes on', async () => {
  const result = await runScenario('foreign.cjs', 'resources', { nodeArgs: ['--expose-internals'] });
  const { ran, expected } = result.output;
  expect(ran).toHaveLength(expected as number);
  expect(result.blamedNames).toEqual(['first', 'second']);
});

it('survives spans and contexts that cannot be read, and goes on', async () => {
  const result = await runScenario('foreign.cjs', 'spans and contexts');
  expect(result.output.entered).toBe(21);
  expect(result.blamedNames).toEqual(['first']);
});

it('says nothing of its own where something is sent by what cannot be read, or is no handle at all', async () => {
  const result = await runScenario('foreign.cjs', 'senders');
  const { before, during } = result.output as unknown as Record<string, string[]>;
  expect(before).toHaveLength(8);
  expect(during).toEqual(before);
  expect(result.blamedNames).toEqual(['first']);
});
