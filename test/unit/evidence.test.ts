// SPDX-License-Identifier: Apache-2.0
import { beforeEach, expect, it, vi } from 'vitest';
import { causeOf } from '../../src/block/cause.js';
import { EvidenceCollector } from '../../src/monitor/evidence.js';

/** The machine: what has gone by so far, in milliseconds. */
const machine = vi.hoisted(() => ({ time: 0, idle: 0, cpu: 0, queued: 0, watchdogLate: 0 }));
vi.mock('../../src/system/clock.js', () => ({ now: () => machine.time, idleTime: () => machine.idle }));
vi.mock('../../src/system/thread-time.js', () => ({
  threadTimeReader: () => () => ({ cpuMillis: machine.cpu, queuedMillis: machine.queued }),
}));
vi.mock('../../src/system/stolen-time.js', () => ({
  STOLEN_TIME_RESOLUTION_MILLIS: 10,
  StolenTimes: class {
    recent() {}
  },
  readStolenTime() {},
  stolenBetween: () => 0,
}));

const watchdog = {
  get lateMillis() {
    return machine.watchdogLate;
  },
  get lateUntil() {
    return Number.POSITIVE_INFINITY;
  },
};

/** What the thread does for `millis`. */
const DOES = {
  cpu(millis: number) {
    machine.cpu += millis;
  },
  wait() {},
  /** Has no core. */
  host(millis: number) {
    machine.queued += millis;
  },
  idle(millis: number) {
    machine.idle += millis;
  },
};
type Doing = keyof typeof DOES;

function pass(doing: Doing, millis: number): void {
  machine.time += millis;
  DOES[doing](millis);
}

let collector: EvidenceCollector;
beforeEach(() => {
  Object.assign(machine, { time: 1_000, idle: 0, cpu: 50, queued: 0, watchdogLate: 0 });
  collector = new EvidenceCollector(watchdog);
  collector.start();
});

/** Evidence of blocks one behind the other; each is noted in the next one, which takes `noting` there, on a core. */
function inARow(doings: readonly Doing[], between: () => void = () => {}, noting = 0.1) {
  let startedAt = machine.time;
  return doings.map((doing) => {
    pass(doing, 300);
    const endedAt = machine.time;
    const durationMillis = endedAt - startedAt;
    startedAt = endedAt;
    pass('cpu', noting);
    const late = collector.ofBlock(endedAt, durationMillis);
    between();
    if (machine.time > endedAt + noting) startedAt = machine.time;
    return late;
  });
}

it.each<Doing[]>([
  ['wait', 'cpu'],
  ['cpu', 'wait'],
  ['host', 'cpu', 'wait'],
  ['wait', 'wait', 'cpu'],
  ['cpu', 'wait', 'cpu', 'wait', 'cpu', 'wait', 'cpu', 'wait'],
])('tells blocks apart that follow one another at once: %s, %s, %s …', (...doings) => {
  const given = doings.filter((doing) => doing !== undefined);
  const evidence = inARow(given).map((late) => late.get());
  expect(evidence.map(causeOf)).toEqual(given);
  for (const [i, { cpuMillis }] of evidence.entries()) {
    const expected = given[i] === 'cpu' ? 300 : 0;
    expect(Math.abs((cpuMillis as number) - expected)).toBeLessThan(1);
  }
});

it('tells them apart where it takes long to note the first one', () => {
  const evidence = inARow(['wait', 'cpu', 'wait'], () => {}, 20).map((late) => late.get());
  expect(evidence.map(causeOf)).toEqual(['wait', 'cpu', 'wait']);
});

it('tells them apart with a wait in poll, and with a beat, in between', () => {
  const between = () => {
    pass('idle', 40);
    collector.beat();
    pass('cpu', 1);
  };
  expect(inARow(['wait', 'cpu', 'wait', 'cpu'], between).map((late) => causeOf(late.get()))).toEqual([
    'wait',
    'cpu',
    'wait',
    'cpu',
  ]);
});
