// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { expect, it } from 'vitest';
import { IterationLedger } from '../../src/recorder/iteration-ledger.js';
import { Tally } from '../../src/recorder/span-time.js';

const a = (): Tally => new Tally({} as Span);

it('adds up whole microseconds, also of a slice of hours', () => {
  const ledger = new IterationLedger();
  const tally = a();
  ledger.add(tally, 0.0004, 1);
  expect([ledger.count, ledger.endedAt]).toEqual([0, 0]);
  ledger.add(tally, 0.0006, 2);
  ledger.add(tally, 36_000_000, 3);
  expect([tally.shareMicros, ledger.busyMicros, ledger.endedAt]).toEqual([36_000_000_001, 36_000_000_001, 3]);
});

it('loses nothing of thousands of slices that are shorter than a microsecond', () => {
  const ledger = new IterationLedger();
  const [first, second] = [a(), a()];
  for (let i = 0; i < 100_000; i++) {
    ledger.add(first, 0.0003, i);
    ledger.add(second, 0.0007, i);
  }
  expect(ledger.busyMicros).toBe(100_000);
  // What one of them is short of, within half a microsecond a slice, the other has.
  expect(first.shareMicros + second.shareMicros).toBe(100_000);
});

it('says how long the iteration had been busy when each ran first, and forgets it with the iteration', () => {
  const ledger = new IterationLedger();
  const [first, second] = [a(), a()];
  ledger.add(first, 2, 2);
  ledger.add(second, 3, 5);
  ledger.add(first, 4, 9);
  expect(ledger.tallies()).toEqual([first, second]);
  expect([first.behindMicros, second.behindMicros]).toEqual([0, 2_000]);
  ledger.clear();
  ledger.add(second, 1, 10);
  expect(ledger.tallies()).toEqual([second]);
  expect([second.shareMicros, second.behindMicros, second.totalMicros]).toEqual([1_000, 0, 4_000]);
});

it('gives back what was set aside as it was', () => {
  const ledger = new IterationLedger();
  const [before, meanwhile] = [a(), a()];
  ledger.add(before, 2, 2);
  const aside = ledger.setAside();
  ledger.add(meanwhile, 50, 52);
  ledger.add(before, 50, 102);
  expect(ledger.busyMicros).toBe(100_000);
  ledger.putBack(aside);
  ledger.add(before, 1, 103);
  expect(ledger.tallies()).toEqual([before]);
  expect([ledger.busyMicros, before.shareMicros, before.totalMicros]).toEqual([3_000, 3_000, 53_000]);
});

it('is news once, and again when it has doubled, and in the next iteration', () => {
  const ledger = new IterationLedger();
  const isNewsAt = (millis: number): boolean => {
    ledger.add(new Tally(undefined), millis, 0);
    return ledger.isNews();
  };
  expect([60, 59, 1, 119, 1].map(isNewsAt)).toEqual([true, false, true, false, true]);
  ledger.clear();
  expect(isNewsAt(50)).toBe(true);
});
