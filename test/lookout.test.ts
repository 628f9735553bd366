// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Field, SharedMemory } from '../src/watchdog/memory.js';
import type { WorkerData } from '../src/watchdog/messages.js';
import type { HangReporter } from '../src/watchdog/worker/hang-report.js';
import type { Inspector } from '../src/watchdog/worker/inspector.js';
import { Lookout } from '../src/watchdog/worker/lookout.js';

/** For how long the process is stopped, in milliseconds. */
const STOPPED = 200;
const DATA = { firstLookMillis: 25, lookIntervalMillis: 10, mayLook: true, hangThresholdMillis: 0 } as WorkerData;

/** Time stands still for the timers while the process is stopped, and goes on when it is continued. */
let time = 0;
const advance = (millis: number): void => {
  for (let i = 0; i < millis; i++) {
    time++;
    vi.advanceTimersByTime(1);
  }
};

beforeEach(() => {
  time = 0;
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('what it tells of its own lateness', () => {
  it.each([
    ['asleep', () => {}, () => (time += STOPPED)],
    ['in the midst of a look', () => (time += STOPPED), () => {}],
  ])('stopped while %s', (_, onLook, afterwards) => {
    const memory = new SharedMemory();
    const look = vi.fn().mockImplementationOnce(onLook);
    const inspector = { look, leave() {}, waitsFor: () => 0 } as unknown as Inspector;
    new Lookout(
      DATA,
      memory,
      () => time,
      inspector,
      {} as HangReporter,
      () => {},
    ).start();
    // No beat comes: it looks, and looks again.
    advance(30);
    expect(look).toHaveBeenCalledTimes(1);
    afterwards();
    advance(30);
    expect(look.mock.calls.length).toBeGreaterThan(1);
    expect(memory.fields[Field.WorkerLateMillis]).toBeGreaterThanOrEqual(STOPPED - 10);
    expect(memory.fields[Field.WorkerLateMillis]).toBeLessThanOrEqual(STOPPED);
    expect(memory.fields[Field.WorkerWokeAt]).toBeGreaterThan(STOPPED + 30);
  });
});
