// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Field, Rest, SharedMemory, Slot } from '../../src/system/shared-memory.js';
import type { FromWorker, WorkerData } from '../../src/watchdog/messages.js';
import type { HangReporter } from '../../src/watchdog/worker/hang-report.js';
import type { Inspector } from '../../src/watchdog/worker/inspector.js';
import { Lookout } from '../../src/watchdog/worker/lookout.js';

/** For how long the process is stopped, in milliseconds. */
const STOPPED = 200;
const DATA = { firstLookMillis: 25, lookIntervalMillis: 10, mayLook: true, hangThresholdMillis: 0 } as WorkerData;

/** One that watches, with nothing else around it. */
function startLookout(tell: (message: FromWorker) => void = () => {}): void {
  const inspector = { look, leave() {}, isLooking: false } as unknown as Inspector;
  new Lookout(
    DATA,
    memory,
    () => time,
    () => queued,
    inspector,
    {} as HangReporter,
    tell,
  ).start();
}

/** Time stands still for the timers while the process is stopped, and goes on when it is continued. */
let time = 0;
/** For how long the main thread had no core. */
let queued = 0;
let memory: SharedMemory;
const look = vi.fn();
const advance = (millis: number): void => {
  for (let i = 0; i < millis; i++) {
    time++;
    vi.advanceTimersByTime(1);
  }
};

/** What happens while it waits for the end of a rest, or sleeps, which takes so long. */
let onRest: (millis: number) => Outcome;
let onDoze: (millis: number) => Outcome;
type Outcome = 'ok' | 'timed-out' | 'not-equal';

beforeEach(() => {
  time = 0;
  queued = 0;
  memory = new SharedMemory();
  look.mockReset();
  onRest = () => 'timed-out';
  // As if there was always a message: its event loop gets every turn.
  onDoze = () => 'not-equal';
  vi.useFakeTimers();
  vi.spyOn(Atomics, 'wait').mockImplementation((_, slot, __, millis) =>
    (slot === Slot.Resting ? onRest : onDoze)(millis as number),
  );
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('what it tells of its own lateness', () => {
  it.each([
    ['asleep', () => {}, () => (time += STOPPED)],
    ['in the midst of a look', () => (time += STOPPED), () => {}],
  ])('stopped while %s', (_, onLook, afterwards) => {
    look.mockImplementationOnce(onLook);
    startLookout();
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

describe('a main thread that has no core', () => {
  beforeEach(() => {
    startLookout();
    advance(1);
  });

  it('is not looked at before it has had the time', () => {
    queued = 20;
    advance(DATA.firstLookMillis + 20 - 3);
    expect(look).not.toHaveBeenCalled();
    advance(3);
    expect(look).toHaveBeenCalledTimes(1);
  });

  it('may beat as soon as it has one', () => {
    for (let i = 0; i < 5; i++) {
      for (let j = 0; j < 40; j++) {
        queued++;
        advance(1);
      }
      memory.fields[Field.BeatAt] = time;
    }
    advance(DATA.firstLookMillis - 3);
    expect(look).not.toHaveBeenCalled();
  });

  it('is looked at in time where it had none before the beat', () => {
    queued = 1_000;
    memory.fields[Field.BeatAt] = time;
    advance(DATA.firstLookMillis + 3);
    expect(look).toHaveBeenCalledTimes(1);
  });
});

describe('while the loop turns', () => {
  beforeEach(() => startLookout());

  it('sleeps without its event loop, which gets a turn now and then', () => {
    let dozes = 0;
    onDoze = (millis) => {
      dozes++;
      time += millis;
      memory.fields[Field.BeatAt] = time - 5;
      return 'timed-out';
    };
    vi.advanceTimersByTime(0);
    expect(dozes).toBe(31);
    expect(vi.getTimerCount()).toBe(1);
    expect(look).not.toHaveBeenCalled();
    expect(memory.fields[Field.WorkerLateMillis]).toBe(0);
  });

  it('reads a message that comes while it sleeps, and sleeps for the rest of the time', () => {
    onDoze = () => {
      time += 10;
      onDoze = () => 'not-equal';
      return 'ok';
    };
    const read = vi.fn();
    setTimeout(read, 1);
    advance(1);
    expect(read).toHaveBeenCalled();
    advance(DATA.firstLookMillis - 10 - 3);
    expect(look).not.toHaveBeenCalled();
    advance(3);
    expect(look).toHaveBeenCalledTimes(1);
    expect(memory.fields[Field.WorkerLateMillis]).toBe(0);
  });

  it('says by how much it overslept', () => {
    onDoze = (millis) => {
      time += millis + STOPPED;
      onDoze = () => 'not-equal';
      return 'timed-out';
    };
    advance(1);
    expect(memory.fields[Field.WorkerLateMillis]).toBe(STOPPED);
    expect(look).not.toHaveBeenCalled();
  });
});

describe('at rest', () => {
  let slots: Int32Array;
  let fields: Float64Array;
  let told: FromWorker[];

  beforeEach(() => {
    ({ slots, fields } = memory);
    told = [];
    startLookout((message) => told.push(message));
    fields[Field.BeatAt] = time;
    slots[Slot.Resting] = Rest.Begun;
  });

  const end = (): void => {
    fields[Field.BeatAt] = time;
    slots[Slot.Resting] = Rest.Over;
  };

  it('waits, as long as beats come, and asks for one when the rest is over', () => {
    let waits = 0;
    onRest = (millis) => {
      expect(slots[Slot.Resting]).toBe(Rest.Noticed);
      time += millis;
      fields[Field.BeatAt] = time;
      if (++waits < 3) return 'timed-out';
      end();
      return 'ok';
    };
    advance(20);
    expect(waits).toBe(3);
    expect(told).toEqual([{ type: 'awake' }]);
    expect(look).not.toHaveBeenCalled();
  });

  it('asks for a beat as well where the rest was over after a wait and before the next', () => {
    onRest = (millis) => {
      time += millis;
      fields[Field.BeatAt] = time;
      setTimeout(end, 0);
      return 'timed-out';
    };
    advance(10);
    expect(told).toEqual([{ type: 'awake' }]);
  });

  it('leaves the main thread time to beat where it was itself woken late', () => {
    onRest = () => {
      end();
      time += 80;
      return 'ok';
    };
    advance(5);
    expect(told).toEqual([{ type: 'awake' }]);
    expect(look).not.toHaveBeenCalled();
    expect(fields[Field.WorkerLateMillis]).toBe(80);
    fields[Field.BeatAt] = time;
    advance(20);
    expect(look).not.toHaveBeenCalled();
  });

  it('looks where no beat comes though no hook has announced anything', () => {
    let waits = 0;
    onRest = (millis) => {
      waits++;
      time += millis;
      return 'timed-out';
    };
    advance(60);
    expect(waits).toBe(1);
    expect(look).toHaveBeenCalled();
    // With the next beat it is at rest again.
    fields[Field.BeatAt] = time;
    advance(60);
    expect(waits).toBeGreaterThan(1);
  });

  it('takes a second in which the whole process was stopped for none', () => {
    let waits = 0;
    onRest = (millis) => {
      time += waits++ === 0 ? millis + 5_000 : millis;
      if (waits > 1) fields[Field.BeatAt] = time;
      return 'timed-out';
    };
    advance(20);
    expect(waits).toBeGreaterThan(1);
    expect(look).not.toHaveBeenCalled();
  });
});
