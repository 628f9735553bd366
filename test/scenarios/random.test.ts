// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { runScenario } from '../support/run-fixture.js';

it.each([1, 2, 3])(
  'gives every span of a random workload its own time, and blames those that blocked: seed %i',
  async (seed) => {
    const result = await runScenario('random.cjs', String(seed));
    const ranLong = result.output.blocks.filter(({ asked }) => asked !== undefined && asked >= 60);
    const guilty = new Set(ranLong.map(({ label }) => label));
    expect(guilty.size).toBeGreaterThan(5);

    // Recall: all of them.
    const blamed = result.output.spans.filter(
      ({ name, attributes }) => name !== 'event loop blocked' && attributes['eventloop.blocked'] === true,
    );
    const names = blamed.map(({ name }) => name);
    expect([...guilty].filter((name) => !names.includes(name))).toEqual([]);
    // Precision: none else alone, but who had no core for it: all of its work took no 40 ms, and the threshold is 50. Many
    // that stood without a core in one iteration make a shared block, of which one has the most.
    const alone = blamed.filter((span) => (span.attributes['eventloop.block.max_duration'] as number) >= 0.05);
    for (const name of alone.map(({ name }) => name).filter((name) => !guilty.has(name))) {
      expect(result.busyIn(name) + result.busyDuring(result.span(name), 40), name).toBeGreaterThan(50);
    }

    for (const span of result.appSpans) {
      const measured = result.measured(span.name);
      const own = ((span.attributes['eventloop.time'] as number | undefined) ?? 0) * 1000;
      expect(own, span.name).toBeGreaterThan(measured < 1.01 ? -1 : measured - 0.5);
      // An operation's own time is also what it does between its measured pieces: timers, streams, child spans, all cold.
      expect(own, span.name).toBeLessThan(result.busyIn(span.name) * 1.02 + 4 + result.busyDuring(span, 40));
    }
    expect(result.output.diagLines).toEqual([]);
  },
);

it('adds up, over all spans, to what Node.js says that the loop was busy', async () => {
  const result = await runScenario('busy-time.cjs', '');
  const seconds = result.appSpans.reduce((sum, { attributes }) => sum + (attributes['eventloop.time'] as number), 0);
  const measured = result.measured('span');
  expect(measured).toBeGreaterThan(1_000);
  expect(seconds * 1000).toBeGreaterThan(measured - 1);
  // What is nobody's beside that is not told; what is a span's is the loop's as well.
  const active = result.output.active as number;
  expect(seconds * 1000).toBeLessThan((active - result.measured('nobody')) * 1.01);
});
