// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { RateLimit } from '../../src/report/rate-limit.js';

it('lets through so many a minute, and says how many it has suppressed since', () => {
  let time = 1_000;
  const limit = new RateLimit(2, () => time);
  expect([limit.pass(), limit.pass(), limit.pass(), limit.pass()]).toEqual([0, 0, undefined, undefined]);
  time += 59_999;
  expect(limit.pass()).toBeUndefined();
  time += 1;
  expect([limit.pass(), limit.pass(), limit.pass()]).toEqual([3, 0, undefined]);
});

it('lets nothing through at 0', () => {
  expect(new RateLimit(0).pass()).toBeUndefined();
});
