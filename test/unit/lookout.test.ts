// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Field, Rest, SharedMemory, Slot } from '../../src/system/shared-memory.js';
import type { CodeLocation } from '../../src/types.js';
import type { FromWorker, SentSample, WorkerData } from '../../src/watchdog/messages.js';
import type { HangReporter } from '../../src/watchdog/worker/hang-report.js';
import type { Inspector } from '../../src/watchdog/worker/inspector.js';
import { Lookout } from '../../src/watchdog/worker/lookout.js';

/** For how long the process is stopped, in milliseconds. */
const STOPPED = 200;
const FIRST_LOOK_MILLIS = 25;
const DATA = { lookIntervalMillis: 10, mayLook: true, hangThresholdMillis: 0 } as WorkerData;

/** One that watches, with nothing else around it. */
function startLookout(tell: (message: FromWorker) => void = () => {}, data = DATA): void {
  const inspector = { look, leaveForGood() {}, isLooking: false, waitsFor: () => waits } as unknown as Inspector;
  new Lookout(
    data,
    memory,
    () => time,
    () => queued,
    inspector,
    { prepare, report } as unknown as HangReporter,
    tell,
  ).start();
}

/** Time stands still for the timers while the process is stopped, and goes on when it is continued. */
let time = 0;
/** For how long the main thread had no core. */
let queued = 0;
let memory: SharedMemory;
/** For how long the look that is under way has had no answer. */
let waits = 0;
const look = vi.fn();
const prepare = vi.fn();
const report = vi.fn();
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
  memory.fields[Field.LookAfterMillis] = FIRST_LOOK_MILLIS;
  waits = 0;
  look.mockReset();
  prepare.mockReset();
  report.mockReset().mockResolvedValue(undefined);
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
    advance(28);
    expect(look).toHaveBeenCalledTimes(1);
    afterwards();
    advance(30);
    expect(look.mock.calls.length).toBeGreaterThan(1);
    expect(memory.fields[Field.WorkerLateMillis]).toBeGreaterThanOrEqual(STOPPED - 10);
    expect(memory.fields[Field.WorkerLateMillis]).toBeLessThanOrEqual(STOPPED);
    expect(memory.fields[Field.WorkerWokeAt]).toBeGreaterThan(STOPPED + 30);
  });
});

describe('a hang', () => {
  const HANG = 1_000;
  const start = () => startLookout(undefined, { ...DATA, hangThresholdMillis: HANG });
  const running = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), name: 'GET' };
  const frame = (functionName: string) => {
    const place = { filePath: '/app.js', lineNumber: 1, columnNumber: 1 };
    return { ...place, functionName, text: functionName, functionKey: functionName };
  };
  const sample = { span: running, frames: [frame('endless')], isCut: false, accuracy: 'after' } as const;
  /** Each look is answered after so long; behind the last of them, none is. */
  const answerAfter = (...answers: readonly (readonly [number, SentSample])[]): void => {
    const left = [...answers];
    let askedAt: number | undefined;
    setInterval(() => {
      waits = askedAt === undefined ? 0 : time - askedAt;
    }, 1);
    look.mockImplementation((onSample: (sample: SentSample) => void) => {
      if (askedAt !== undefined) return;
      askedAt = time;
      const [millis, answer] = left.shift() ?? [];
      if (millis === undefined || answer === undefined) return;
      setTimeout(() => {
        askedAt = undefined;
        onSample(answer);
      }, millis);
    });
  };
  beforeEach(() => {
    memory.fields[Field.Running] = memory.publish(running.traceId, running.spanId, running.name);
  });

  it('is prepared for at half its time, ahead of the first report', () => {
    start();
    advance(HANG / 2 - 3);
    expect(prepare).not.toHaveBeenCalled();
    advance(13);
    expect(prepare).toHaveBeenCalled();
    expect(report).not.toHaveBeenCalled();
    advance(HANG / 2);
    expect(report).toHaveBeenCalledTimes(1);
  });

  it('is seen and reported on a machine that wakes it too late each time', () => {
    start();
    while (time < 10 * HANG) {
      advance(1);
      // It sleeps for 10 ms at the most by then.
      if (time % 12 === 0) time += 50;
    }
    expect(look).toHaveBeenCalled();
    // Only the time in which it was awake counts.
    expect(report).toHaveBeenCalled();
  });

  it('is not prepared for where none is reported, nor in a loop that turns', () => {
    startLookout();
    advance(5_000);
    memory.fields[Field.BeatAt] = time;
    start();
    for (let i = 0; i < 20; i++) {
      advance(HANG / 2 - 10);
      memory.fields[Field.BeatAt] = time;
    }
    expect(prepare).not.toHaveBeenCalled();
  });

  it('is no shorter for the time that the preparation takes, which is no lateness', () => {
    prepare.mockImplementationOnce(() => {
      time += 300;
      return true;
    });
    start();
    advance(HANG - 300 + 10);
    expect(report).toHaveBeenCalledTimes(1);
    expect(memory.fields[Field.WorkerLateMillis]).toBeLessThan(10);
  });

  it('has the stack that was seen between two native calls of a loop of them', () => {
    answerAfter([300, sample], [350, sample]);
    start();
    advance(HANG + 10);
    expect(waits).toBeGreaterThan(200);
    expect(report.mock.calls.map(([hang]) => hang.sample)).toEqual([sample]);
  });

  it('keeps that stack where the next look lands between two callbacks', () => {
    look.mockImplementationOnce((onSample) => onSample(sample));
    look.mockImplementation((onSample) => onSample({ ...sample, frames: [] }));
    start();
    advance(HANG + 10);
    expect(report.mock.calls.map(([hang]) => hang.sample)).toEqual([sample]);
  });

  it('is where most of the looks saw it, not where the last did', () => {
    let looks = 0;
    look.mockImplementation((onSample) => {
      const frames = [frame(`helper${++looks % 50}`), frame('build'), frame('handler')];
      onSample({ ...sample, frames, accuracy: 'during' });
    });
    start();
    advance(HANG + 10);
    const [hang] = report.mock.calls[0] as [{ location: CodeLocation }];
    expect(hang.location.stack.map(({ functionName }) => functionName)).toEqual(['build', 'handler']);
    expect(hang.location).toMatchObject({ frame: { functionName: 'build' }, accuracy: 'during', share: 1 });
  });

  it('is where it is in the span that hangs, not in the one before', () => {
    const before = { ...sample, span: { ...running, spanId: 'c'.repeat(16) }, frames: [frame('before')] };
    look.mockImplementation((onSample) => onSample(time < 0.9 * HANG ? before : sample));
    start();
    advance(HANG + 10);
    expect(report.mock.calls.map(([hang]) => hang.location.frame.functionName)).toEqual(['endless']);
  });

  it('begins anew where the start-up is over, though no beat came since', () => {
    memory.slots[Slot.Starting] = 1;
    start();
    advance(1.5 * HANG);
    expect(report.mock.calls.map(([hang]) => hang.isStarting)).toEqual([true]);
    memory.slots[Slot.Starting] = 0;
    // It ends, or makes its first beat.
    advance(0.9 * HANG);
    expect(report).toHaveBeenCalledTimes(1);
    const startedAt = Date.now() - 0.9 * HANG;
    advance(0.2 * HANG);
    const [, hang] = report.mock.calls.map(([hang]) => hang);
    expect(hang.isStarting).toBe(false);
    expect(Math.abs(hang.startedAt - startedAt)).toBeLessThan(20);
  });

  it.each<[string, readonly (readonly [number, SentSample])[]]>([
    ['what was seen ahead of a native call', [[0, sample]]],
    ['what was seen of another span', [[300, { ...sample, span: { ...running, spanId: 'c'.repeat(16) } }]]],
  ])('has no stack in an endless native call, not %s', (_, answers) => {
    answerAfter(...answers);
    start();
    advance(HANG + 10);
    expect(report.mock.calls.map(([hang]) => hang.sample)).toEqual([undefined]);
    expect(report.mock.calls[0]?.[0].running).toEqual(running);
  });
});

describe('a block', () => {
  it('is looked at twice soon after one another, then at intervals, and the longer it lasts the less often', () => {
    const looks: number[] = [];
    look.mockImplementation(() => looks.push(time));
    startLookout(undefined, { ...DATA, lookIntervalMillis: 20 });
    advance(3_000);
    const gaps = looks.slice(1).map((at, i) => at - (looks[i] as number));
    expect(Math.abs((looks[0] as number) - FIRST_LOOK_MILLIS)).toBeLessThanOrEqual(2);
    expect(gaps.slice(0, 2)).toEqual([5, 10]);
    for (const [i, gap] of gaps.slice(2).entries()) {
      const wanted = Math.max(20, 0.02 * (looks[i + 2] as number));
      expect(gap).toBeGreaterThanOrEqual(Math.floor(wanted) - 1);
      expect(gap).toBeLessThanOrEqual(wanted + 10);
    }
    expect(looks.length).toBeGreaterThan(70);
    expect(looks.length).toBeLessThan(110);
  });
});

describe('a main thread that has no core', () => {
  beforeEach(() => {
    startLookout();
    advance(1);
  });

  it('is not looked at before it has had the time', () => {
    queued = 20;
    advance(FIRST_LOOK_MILLIS + 20 - 3);
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
    advance(FIRST_LOOK_MILLIS - 3);
    expect(look).not.toHaveBeenCalled();
  });

  it('is looked at in time where it had none before the beat', () => {
    queued = 1_000;
    memory.fields[Field.BeatAt] = time;
    advance(FIRST_LOOK_MILLIS + 3);
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
    advance(FIRST_LOOK_MILLIS - 10 - 3);
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
