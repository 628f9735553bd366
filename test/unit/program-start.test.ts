// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { IterationLedger } from '../../src/recorder/iteration-ledger.js';
import { ProgramStart } from '../../src/recorder/program-start.js';
import { Tally } from '../../src/recorder/span-time.js';
import { StartUp } from '../../src/recorder/start-up.js';
import { SLOTS, Slot } from '../../src/system/shared-memory.js';

/** Named as Node.js names what reads the file of a module. */
class FSReqCallback {}
class Timeout {}

function starting() {
  const told: number[] = [];
  const slots = new Int32Array(SLOTS);
  slots[Slot.Starting] = 1;
  const nobody = new Tally(undefined);
  const start = new ProgramStart(nobody, slots, { onStarted: (micros) => told.push(micros) });
  start.begin(new StartUp());
  const spend = (millis: number): void => new IterationLedger().add(nobody, millis, 0);
  return { start, told, slots, spend };
}

it('lasts while nothing but modules is loaded, and until the end of the iteration that does something else', () => {
  const { start, told, slots, spend } = starting();
  spend(300);
  expect(start.see(new FSReqCallback())).toBe(false);
  start.turn();
  expect(start.isOn).toBe(true);
  spend(40);
  expect(start.see(new Timeout())).toBe(true);
  expect([start.isOn, told, slots[Slot.Starting]]).toEqual([true, [], 1]);
  start.turn();
  expect([start.isOn, told, slots[Slot.Starting]]).toEqual([false, [340_000], 0]);
});

it('tells of a pause what it came to so far, without what was allowed, and goes on', () => {
  const { start, told, spend } = starting();
  spend(300);
  start.addAllowed(100_000);
  start.pause();
  expect([start.isOn, told]).toEqual([true, [200_000]]);
  spend(20);
  start.end();
  expect([start.isOn, told]).toEqual([false, [200_000, 220_000]]);
  start.end();
  start.pause();
  expect(told).toHaveLength(2);
});
