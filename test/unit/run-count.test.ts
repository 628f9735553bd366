// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { RunCount } from '../../src/recorder/run-count.js';
import { SLOTS, Slot } from '../../src/system/shared-memory.js';

it('gives every run another number, and counts the callbacks of the iteration, past the end of 32 bits', () => {
  const slots = new Int32Array(SLOTS);
  slots[Slot.Callbacks] = 2 ** 31 - 2;
  const runs = new RunCount(slots);
  runs.turn();
  const numbers = new Set([runs.run]);
  for (let i = 0; i < 4; i++) {
    runs.addCallback();
    numbers.add(runs.run);
    runs.addJob();
    numbers.add(runs.run);
  }
  expect([numbers.size, runs.callbacks, runs.job]).toEqual([9, 4, 4]);
  runs.turn();
  expect(runs.callbacks).toBe(0);
});
