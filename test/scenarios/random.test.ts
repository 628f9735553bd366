// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { runScenario } from '../support/run-fixture.js';

it.each([1, 2, 3])(
  'gives every span of a random workload its own time, and blames those that blocked: seed %i',
  async (seed) => {
    const result = await runScenario('random.cjs', String(seed));
    const { blocks } = result.output;
    const guilty = new Set(blocks.filter((piece) => piece.millis >= 60).map((piece) => piece.label));
    expect(guilty.size).toBeGreaterThan(5);

    // Recall: all of them.
    const blamed = new Set(result.blamedNames);
    expect([...guilty].filter((name) => !blamed.has(name))).toEqual([]);
    // Precision: none else, but in an iteration whose 50 ms were made by a machine that had no core for it.
    const innocent = [...blamed].filter((name) => !guilty.has(name));
    if (!result.wasHeldUp) expect(innocent).toEqual([]);

    for (const span of result.appSpans) {
      const measured = result.measured(span.name);
      const own = ((span.attributes['eventloop.time'] as number | undefined) ?? 0) * 1000;
      // 0.02 ms were missing once, on a machine that held the process up.
      const least = measured - 0.1 - result.heldUpMillis / 100;
      expect(own, span.name).toBeGreaterThan(measured < 1.01 ? -1 : least);
      // An operation's own time is also what it does between its measured pieces: timers, streams, child spans, all cold.
      expect(own, span.name).toBeLessThan(measured + result.tolerance(measured) + 20);
    }
    expect(result.output.diagLines).toEqual([]);
  },
);

it('adds up, over all spans and what ran under none, to what Node.js says that the loop was busy', async () => {
  const result = await runScenario('busy-time.cjs', '');
  const seconds = result.appSpans.reduce((sum, { attributes }) => sum + (attributes['eventloop.time'] as number), 0);
  const truth = (result.output.active as number) - result.measured('nobody');
  expect(truth).toBeGreaterThan(1_000);
  // To Node.js a thread that waits for a core is busy as well.
  expect(Math.abs(seconds * 1000 - truth)).toBeLessThan(truth * 0.03 + result.output.waitedOutsideBlocks);
});
