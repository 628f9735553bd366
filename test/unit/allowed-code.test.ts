// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { AllowedCode } from '../../src/recorder/allowed-code.js';
import { IterationLedger } from '../../src/recorder/iteration-ledger.js';
import { Tally } from '../../src/recorder/span-time.js';

it('counts what was allowed apart, however deep, until the iteration is over', () => {
  const ledger = new IterationLedger();
  const allowed = new AllowedCode(ledger);
  const tally = new Tally(undefined);
  const spend = (millis: number): void => ledger.add(tally, millis, 0);
  spend(1);
  const outer = allowed.begin();
  spend(20);
  const inner = allowed.begin();
  spend(300);
  expect(allowed.isRunning).toBe(true);
  expect(allowed.end(inner)).toBe(300_000);
  spend(4_000);
  expect(allowed.isRunning).toBe(true);
  expect(allowed.end(outer)).toBe(4_020_000);
  expect(allowed.isRunning).toBe(false);
  spend(50_000);
  expect([allowed.micros, ledger.busyMicros, tally.totalMicros]).toEqual([4_320_000, 50_001_000, 54_321_000]);
  allowed.clear();
  expect(allowed.micros).toBe(0);
});
