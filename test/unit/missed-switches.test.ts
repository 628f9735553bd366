// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { MissedSwitches } from '../../src/recorder/missed-switches.js';
import { Tally } from '../../src/recorder/span-time.js';

const [a, b] = [new Tally(undefined), new Tally(undefined)];

/** Each look: when, in a slice since when, in which callback, whom it saw, and whether it was not held up. */
function look(...looks: [at: number, since: number, job: number, saw: Tally | undefined, isPrompt?: boolean][]) {
  const missed = new MissedSwitches();
  return looks.map(([at, since, job, saw, isPrompt = true]) => {
    missed.look(at, since);
    return saw && missed.see(saw, since, job, isPrompt);
  });
}

it('believes two looks that agree, from half of what was uncertain on', () => {
  expect(look([20, 0, 1, a], [40, 0, 1, a])).toEqual([undefined, 10]);
  expect(look([20, 0, 1, undefined], [40, 0, 1, a], [60, 0, 1, a])).toEqual([undefined, undefined, 30]);
});

it('says nothing of the time before a look that was held up', () => {
  expect(look([20, 0, 1, a, false], [40, 0, 1, a])).toEqual([undefined, 20]);
});

it('believes none that do not agree, or that saw another slice or another callback', () => {
  expect(look([20, 0, 1, a], [40, 0, 1, b], [60, 0, 1, a])).toEqual([undefined, undefined, undefined]);
  expect(look([20, 0, 1, a], [40, 30, 1, a])).toEqual([undefined, undefined]);
  expect(look([20, 0, 1, a], [40, 0, 2, a])).toEqual([undefined, undefined]);
});
