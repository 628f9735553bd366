// SPDX-License-Identifier: Apache-2.0
// When hooks are put on and taken off again, on a clock of the test's, with nothing around that could be hooked.
import { AsyncResource } from 'node:async_hooks';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Following } from '../../src/following/following.js';
import { IdleMode } from '../../src/recorder/idle-mode.js';
import { Field, Rest, SharedMemory, Slot } from '../../src/system/shared-memory.js';
import { listenerFor } from '../support/listener.js';

const clock = vi.hoisted(() => ({ time: 0, idle: 0, count: 1 }));
vi.mock('../../src/system/clock.js', async (importOriginal) => ({
  ...(await importOriginal<object>()),
  now: () => clock.time,
  idleTime: () => clock.idle,
  loopCount: () => clock.count,
}));
const { OnDemand } = await import('../../src/following/on-demand.js');
const { LateBeats } = await import('../../src/following/late-beats.js');

const THRESHOLD = 50;
const PACE = 10;
/** How late a beat may be at first before there is a look. */
const LATE = 4;

/** What was done to the recorder: `on`, `on 14` in the midst of an iteration that had been busy for so long, `off`. */
let done: string[];
let blocks: number[];
const following = {
  isOn: false,
  blockCount: 0,
  isCaughtUp: true,
  start() {
    done.push('on');
    this.isOn = true;
  },
  startLate(headMillis: number) {
    done.push(`on ${Math.round(headMillis)}`);
    this.isOn = true;
  },
  pause() {
    done.push('off');
    this.isOn = false;
  },
  stop() {
    this.isOn = false;
  },
  beat() {},
  flush() {},
  look() {
    done.push('look');
  },
  followBeat() {},
  runningMillis: () => 0,
  paceMillis: (usual: number) => usual,
};
let queued: number;
let memory: SharedMemory;
const timer = {};
let onDemand: InstanceType<typeof OnDemand>;

beforeEach(() => {
  Object.assign(clock, { time: 1_000, idle: 0, count: 1 });
  Object.assign(following, { isOn: false, blockCount: 0, isCaughtUp: true });
  done = [];
  blocks = [];
  queued = 0;
  memory = new SharedMemory();
  const listener = listenerFor(({ busyMicros }) => blocks.push(busyMicros / 1000));
  const beats = new LateBeats(THRESHOLD, PACE, listener, () => {});
  const threadTime = () => ({ cpuMillis: 0, queuedMillis: queued });
  const diag = { warn: (...words: unknown[]) => done.push(words.join(' ')) };
  const idle = new IdleMode(memory.slots, memory, PACE);
  onDemand = new OnDemand(THRESHOLD, following as unknown as Following, beats, threadTime, idle, diag as never);
  onDemand.followBeat(timer);
  onDemand.start(undefined);
  beat();
  done = [];
});

/** The loop waits until its beat, works for so long, and is so late in all. */
function beat(lateMillis = 0, workedMillis = 2): void {
  const millis = PACE + lateMillis;
  clock.time += millis;
  clock.idle += millis - workedMillis;
  clock.count += 3;
  onDemand.beat(lateMillis);
  onDemand.paceMillis(20);
}

/** A callback that began as soon as the loop had turned to its beat runs, for so long so far. */
function block(millis: number): void {
  clock.time += millis;
}

describe('hooks', () => {
  it('are put on by the first look inside a late callback, and taken off by the first beat in time', () => {
    clock.count++;
    block(PACE + LATE);
    onDemand.look(true);
    expect(done).toEqual(['on 14']);
    block(60);
    onDemand.look(true);
    expect(done).toEqual(['on 14', 'look']);
    following.blockCount++;
    onDemand.beat(64);
    expect(done).toEqual(['on 14', 'look']);
    beat();
    expect(done).toEqual(['on 14', 'look', 'off']);
    expect(onDemand).toMatchObject({ ons: 2, offs: 2 });
    // The recorder tells of it.
    expect(blocks).toEqual([]);
  });

  it('stay on as long as somebody waits for the block', () => {
    block(20);
    onDemand.look(true);
    following.isCaughtUp = false;
    onDemand.beat(10);
    for (let i = 0; i < 5; i++) beat();
    expect(done).toEqual(['on 20']);
    following.isCaughtUp = true;
    beat();
    expect(done).toEqual(['on 20', 'off']);
  });

  it('are not put on by a look that comes when the loop is in time again', () => {
    beat(30, 32);
    block(5);
    onDemand.look(true);
    expect(done).toEqual([]);
  });

  it('are not put on where the thread only stood without a core', () => {
    block(30);
    queued += 25;
    onDemand.look(true);
    expect(done).toEqual([]);
  });

  it('are taken off by a beat that was late only for want of a core', () => {
    block(20);
    onDemand.look(true);
    onDemand.beat(10);
    queued += 30;
    beat(30);
    expect(done).toEqual(['on 20', 'off']);
  });

  it('come later and later where there is no block in the end, up to half the threshold, and sooner again in time', () => {
    expect(onDemand.mostLateMillis).toBe(LATE);
    for (let i = 0; i < 20; i++) {
      block(PACE + 30);
      onDemand.look(true);
      onDemand.beat(30);
      beat();
    }
    expect(onDemand.mostLateMillis).toBe(THRESHOLD / 2);
    for (let i = 0; i < 500; i++) beat();
    expect(onDemand.mostLateMillis).toBeGreaterThan(THRESHOLD / 4);
    for (let i = 0; i < 1_500; i++) beat();
    expect(onDemand.mostLateMillis).toBe(LATE);
  });

  it('are not put on by a loop that is idle, whose beats are rare until something goes on', () => {
    for (let i = 0; i < 10; i++) beat(0, 0.5);
    expect(onDemand.paceMillis(20)).toBe(PACE);
    // The worker knows.
    Atomics.store(memory.slots, Slot.Resting, Rest.Noticed);
    expect(onDemand.paceMillis(20)).toBe(100);
    new AsyncResource('SOMETHING').runInAsyncScope(() => {});
    expect(memory.slots[Slot.Resting]).toBe(Rest.Over);
    expect(memory.fields[Field.BeatAt]).toBe(clock.time);
    expect(onDemand.paceMillis(20)).toBe(PACE);
    clock.count++;
    block(80);
    onDemand.look(true);
    expect(done).toEqual(['on 80']);
  });
});

describe('the head of a block', () => {
  /** An iteration that was busy for so long, behind a poll; its end is marked where there is a mark for it. */
  const iteration = (busyMillis: number, idleMillis = 1): Promise<void> => {
    clock.time += idleMillis + busyMillis;
    clock.idle += idleMillis;
    clock.count++;
    return new Promise((resolve) => setImmediate(resolve));
  };

  it('is told from iterations that were short behind the beat', async () => {
    beat();
    await iteration(4);
    await iteration(2);
    clock.count++;
    block(7);
    onDemand.look(true);
    expect(done).toEqual(['on 7']);
  });

  it('has what ran in the poll of the same iteration', async () => {
    beat();
    await iteration(4);
    await iteration(2);
    block(7);
    onDemand.look(true);
    expect(done).toEqual(['on 9']);
  });

  it('is estimated where there were more iterations than marks', async () => {
    for (let i = 0; i < 60; i++) beat(0, 3);
    for (let i = 0; i < 10; i++) await iteration(0.2, 0.2);
    clock.count++;
    block(10);
    onDemand.look(true);
    // The last two of these are taken for as long as iterations are as a rule, 1 ms.
    expect(done).toEqual(['on 8']);
  });
});

describe('a block in which nobody could look', () => {
  it('is as long as the loop was busy since the last beat, where it turned once', () => {
    clock.count++;
    block(80);
    onDemand.beat(70);
    expect(blocks).toEqual([80]);
  });

  it('began behind as many iterations of the usual length, where the loop turned more often', () => {
    for (let i = 0; i < 60; i++) beat(0, 6);
    clock.count += 5;
    block(80);
    onDemand.beat(70);
    // Four of 2 ms were before it.
    expect(blocks).toHaveLength(1);
    expect(blocks[0]).toBeCloseTo(72, 1);
  });

  it('is none where the loop waited', () => {
    beat(70, 2);
    expect(blocks).toEqual([]);
  });

  it('is none where it was allowed', () => {
    const end = onDemand.allow();
    block(200);
    end();
    beat();
    expect(blocks).toEqual([]);
  });
});
