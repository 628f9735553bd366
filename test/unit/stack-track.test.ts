// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { StackTrack } from '../../src/debug/stack-track.js';

it('makes one stretch of a function that samples right behind each other have in the same place', () => {
  const track = new StackTrack();
  track.add(['serve', 'build', 'sort'], 100, 110);
  track.add(['serve', 'build', 'hash'], 110, 130);
  track.add(['serve', 'send'], 130, 150);
  expect(track.take(false)).toEqual([]);
  expect(track.take(true)).toEqual([
    { name: 'serve', ts: 100, dur: 50 },
    { name: 'build', ts: 100, dur: 30 },
    { name: 'sort', ts: 100, dur: 10 },
    { name: 'hash', ts: 110, dur: 20 },
    { name: 'send', ts: 130, dur: 20 },
  ]);
  expect(track.take(true)).toEqual([]);
});

it('ends them where nothing was seen for a while, and where another is in between', () => {
  const track = new StackTrack();
  track.add(['serve', 'build'], 100, 110);
  track.add(['serve', 'build'], 120, 130);
  track.add(['build', 'serve'], 130, 140);
  expect(track.take(true)).toEqual([
    { name: 'serve', ts: 100, dur: 10 },
    { name: 'build', ts: 100, dur: 10 },
    { name: 'serve', ts: 120, dur: 10 },
    { name: 'build', ts: 120, dur: 10 },
    { name: 'build', ts: 130, dur: 10 },
    { name: 'serve', ts: 130, dur: 10 },
  ]);
});

it('tells nothing twice: of a sample that reaches back, only what is new', () => {
  const track = new StackTrack();
  track.add(['serve'], 100, 120);
  track.add(['serve'], 90, 130);
  track.add(['other'], 90, 125);
  expect(track.take(true)).toEqual([{ name: 'serve', ts: 100, dur: 30 }]);
});
