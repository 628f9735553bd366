// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { beforeEach, expect, it } from 'vitest';
import { Backlog } from '../../src/recorder/backlog.js';
import { Tally } from '../../src/recorder/span-time.js';

/** Waiting in poll for so long, the loop had nothing to do. Milliseconds. */
const IDLE = 0.3;

let ran: [name: string, ranAt: number, ranUntil: number, turn: number][];
let caughtUp: number;
let backlog: Backlog;

beforeEach(() => {
  ran = [];
  caughtUp = 0;
  backlog = new Backlog({
    onRanBehind: ({ span }, ranAt, ranUntil, turn) =>
      ran.push([(span as unknown as { name: string }).name, ranAt, ranUntil, turn]),
    onCaughtUp: () => caughtUp++,
  });
});

/** `name` ran for `millis`, behind what had run in its iteration by then; undefined: under no span. */
function tally(name: string | undefined, behindMillis: number, millis: number): Tally {
  const of = new Tally(name === undefined ? undefined : ({ name } as unknown as Span));
  of.behindMicros = behindMillis * 1000;
  of.shareMicros = millis * 1000;
  return of;
}

function turn(tallies: Tally[], busyMillis: number, { isBlock = false, idleMillis = 0, accepts = false } = {}): void {
  if (accepts && backlog.micros > 0) backlog.enter('accept');
  backlog.turn(tallies, tallies.length, busyMillis * 1000, isBlock, idleMillis);
}

it('tells who ran in the block and in the iteration behind it, and when, and then it is over', () => {
  turn([tally('blocker', 0, 300), tally(undefined, 300, 1)], 301, { isBlock: true });
  expect(caughtUp).toBe(0);
  turn([tally('first', 0, 2), tally('second', 2, 1)], 3);
  expect(ran).toEqual([
    ['blocker', 0, 300_000, 0],
    ['first', 301_000, 303_000, 1],
    ['second', 303_000, 304_000, 1],
  ]);
  turn([tally('later', 0, 1)], 1);
  expect(ran).toHaveLength(3);
  turn([], 1, { idleMillis: 30 });
  expect(caughtUp).toBe(1);
  expect(backlog.micros).toBe(0);
});

it('is over at once where the loop had nothing to do behind the block', () => {
  turn([tally('blocker', 0, 300)], 300, { isBlock: true, idleMillis: IDLE });
  expect(caughtUp).toBe(1);
});

it('goes on while connections are accepted, until the loop has nothing to do', () => {
  turn([tally('blocker', 0, 300)], 300, { isBlock: true, accepts: true });
  for (let i = 0; i < 20; i++) turn([tally(`connection ${i}`, 0, 1)], 1, { accepts: true });
  expect(caughtUp).toBe(0);
  expect(ran.at(-1)).toEqual(['connection 19', 319_000, 320_000, 20]);
  turn([], 1, { accepts: true, idleMillis: IDLE });
  turn([tally('later', 0, 1)], 1, { accepts: true });
  expect(ran.at(-1)).toEqual(['connection 19', 319_000, 320_000, 20]);
});

it('goes on for no longer than the block took, or on a saturated loop it would never end', () => {
  turn([tally('blocker', 0, 100)], 100, { isBlock: true, accepts: true });
  let turns = 0;
  while (caughtUp === 0 && turns < 1_000) {
    turns++;
    turn([], 10, { accepts: true });
  }
  expect(turns).toBe(11);
});

it('begins its time anew with a further block, and counts on from the first', () => {
  turn([tally('first', 0, 100)], 100, { isBlock: true });
  turn([tally('second', 0, 200)], 200, { isBlock: true });
  turn([tally('victim', 0, 1)], 1);
  expect(ran).toEqual([
    ['first', 0, 100_000, 0],
    ['second', 100_000, 300_000, 1],
    ['victim', 300_000, 301_000, 2],
  ]);
  turn([tally('later', 0, 1)], 1);
  expect(ran).toHaveLength(3);
});
