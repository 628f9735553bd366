// SPDX-License-Identifier: Apache-2.0
// When hang reports go out, on a clock of the test's; how soon they arrive on a real one is `npm run bench:hang`.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Field, SharedMemory, Slot } from '../../src/system/shared-memory.js';
import type { WorkerData } from '../../src/watchdog/messages.js';
import type { Hang } from '../../src/watchdog/worker/hang-report.js';
import type { Inspector } from '../../src/watchdog/worker/inspector.js';

const written = vi.hoisted(() => [] as string[]);
vi.mock('node:fs', async (importOriginal) => ({
  ...(await importOriginal<typeof import('node:fs')>()),
  writeSync: (_descriptor: number, text: string) => written.push(text),
}));
/** A collector that is down: whatever is sent to it never arrives. */
vi.mock('../../src/watchdog/worker/exporters.js', () => ({ send: () => new Promise(() => {}) }));
const { HangReporter } = await import('../../src/watchdog/worker/hang-report.js');
const { Lookout } = await import('../../src/watchdog/worker/lookout.js');

/** It wakes so often while the loop is silent. Milliseconds. */
const ALERT = 10;

let time: number;
let memory: SharedMemory;
let waitsFor: number;
/** When each report went out, and what it said. */
let reports: { at: number; hang: Hang }[];
let report: () => Promise<void>;

function watch(data: Partial<WorkerData>): void {
  const inspector = {
    look() {},
    leaveForGood() {},
    isLooking: false,
    waitsFor: () => waitsFor,
  } as unknown as Inspector;
  const reporter = {
    prepare() {},
    report(hang: Hang) {
      reports.push({ at: time, hang });
      return report();
    },
  };
  new Lookout(
    { lookIntervalMillis: 20, mayLook: false, ...data } as WorkerData,
    memory,
    () => time,
    () => 0,
    inspector,
    reporter as never,
    () => {},
  ).start();
}

/** `millis` go by, in which the loop does not turn. */
function hangFor(millis: number): void {
  for (const until = time + millis; time < until; ) {
    time += ALERT / 2;
    vi.advanceTimersByTime(ALERT / 2);
  }
}

function beat(): void {
  memory.fields[Field.BeatAt] = time;
}

function expectDue(due: readonly number[]): void {
  expect(reports).toHaveLength(due.length);
  for (const [i, { at }] of reports.entries()) {
    expect(at).toBeGreaterThanOrEqual(due[i] as number);
    // Each is due from when the last one went out.
    expect(at).toBeLessThanOrEqual((due[i] as number) + ALERT * 2 ** (i + 1));
  }
}

beforeEach(() => {
  time = 0;
  waitsFor = 0;
  memory = new SharedMemory();
  memory.fields[Field.LookAfterMillis] = 45;
  reports = [];
  written.length = 0;
  report = async () => {};
  vi.useFakeTimers();
  // As if there was always a message: its event loop gets every turn.
  vi.spyOn(Atomics, 'wait').mockReturnValue('not-equal');
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('hang reports', () => {
  it('go out at the threshold, at twice the time, four times, and so on', () => {
    watch({ hangThresholdMillis: 300 });
    hangFor(295);
    expectDue([]);
    hangFor(3_000);
    expectDue([300, 600, 1_200, 2_400]);
    expect(reports.map(({ hang }) => Date.now() - time - hang.startedAt)).toEqual(reports.map(() => 0));
  });

  it('go out every five minutes at the least', () => {
    watch({ hangThresholdMillis: 200_000 });
    hangFor(1_310_000);
    expectDue([200_000, 400_000, 700_000, 1_000_000, 1_300_000]);
  });

  it('go on where none of them ever arrives, or all are refused', () => {
    report = () => new Promise(() => {});
    watch({ hangThresholdMillis: 300 });
    hangFor(700);
    report = () => Promise.reject(new Error('refused'));
    hangFor(700);
    expectDue([300, 600, 1_200]);
  });

  it('begin anew with each beat', () => {
    watch({ hangThresholdMillis: 300 });
    hangFor(700);
    expectDue([300, 600]);
    reports = [];
    beat();
    const from = time;
    hangFor(290);
    expectDue([]);
    hangFor(320);
    expectDue([from + 300, from + 600]);
  });

  it.each([
    ['with a threshold of 0', 0, () => {}],
    ['while what runs is allowed to block', 300, () => Atomics.add(memory.slots, Slot.Allowed, 1)],
    ['while a person is debugging', 300, () => Atomics.store(memory.slots, Slot.Debugged, 1)],
    ['where it is to leave', 300, () => Atomics.store(memory.slots, Slot.Stop, 1)],
  ])('are none %s', (_, hangThresholdMillis, prepare) => {
    prepare();
    watch({ hangThresholdMillis });
    hangFor(5_000);
    expectDue([]);
  });

  it('say what the main thread has published, and leave out a look that native code holds up', () => {
    memory.fields[Field.Running] = memory.publish('a'.repeat(32), 'b'.repeat(16), 'stuck');
    waitsFor = 1_000;
    watch({ hangThresholdMillis: 300 });
    hangFor(310);
    expect(reports[0]?.hang).toMatchObject({ sample: undefined, location: undefined, running: { name: 'stuck' } });
  });
});

it('ends the process with hangAction: abort, once the report has left and no sooner', async () => {
  let left = (): void => {};
  report = () => new Promise((resolve) => (left = resolve));
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  watch({ hangThresholdMillis: 300, hangAction: 'abort' });
  hangFor(310);
  expect(kill).not.toHaveBeenCalled();
  left();
  await Promise.resolve();
  expect(kill.mock.calls).toEqual([[process.pid, 'SIGABRT']]);
  // Where the application listens to that, it would wait for the stuck thread.
  vi.advanceTimersByTime(500);
  expect(kill.mock.calls.at(-1)).toEqual([process.pid, 'SIGKILL']);
});

it('says it on stderr at once, whatever becomes of the collector', () => {
  const running = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), name: 'GET' };
  const startedAt = Date.now() - 1_230;
  for (let i = 0; i < 2; i++)
    new HangReporter([], 'absolute', undefined, undefined).report({
      startedAt,
      sample: undefined,
      location: undefined,
      running,
      isStarting: false,
    });
  expect(written).toEqual(
    Array(2).fill(
      expect.stringMatching(
        /^opentelemetry-instrumentation-event-loop: event loop hangs: blocked for 1\.2 s by "GET".* \(trace a{32}, span b{16}\)\n$/,
      ),
    ),
  );
});
