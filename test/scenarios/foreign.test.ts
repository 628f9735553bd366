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
