// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { IdleMode } from '../../src/recorder/idle-mode.js';
import { Field, Rest, SharedMemory, Slot } from '../../src/system/shared-memory.js';

/** An idle mode, and what its beats said: each runs `callbacks` callbacks, its own among them. */
function idle(beatMillis = 20) {
  const memory = new SharedMemory();
  const { slots } = memory;
  const mode = new IdleMode(slots, memory, beatMillis);
  const beat = (callbacks = 1, isBehind = false): boolean => {
    slots[Slot.Callbacks] = (slots[Slot.Callbacks] as number) + callbacks;
    return mode.beat(isBehind);
  };
  return { mode, memory, slots, beat };
}

it('begins with the tenth beat in a row that found nothing but itself', () => {
  const { mode, slots, beat } = idle();
  for (let i = 0; i < 9; i++) beat();
  expect(mode.isOn).toBe(false);
  beat(2);
  for (let i = 0; i < 9; i++) beat();
  expect(mode.isOn).toBe(false);
  beat(1, true);
  for (let i = 0; i < 9; i++) beat();
  expect(mode.isOn).toBe(false);
  beat();
  expect([mode.isOn, slots[Slot.Resting]]).toEqual([true, Rest.Begun]);
});

it('makes beats rare only once the worker knows, and tells it of the end by a beat', () => {
  const { mode, memory, slots, beat } = idle();
  for (let i = 0; i < 12; i++) expect(beat()).toBe(false);
  slots[Slot.Resting] = Rest.Noticed;
  expect(beat()).toBe(true);
  mode.end(1_234);
  expect([mode.isOn, memory.fields[Field.BeatAt]]).toEqual([false, 1_234]);
  expect(beat()).toBe(false);
});

it('is a pause with the third such beat', () => {
  const { mode, beat } = idle();
  const pauses = Array.from({ length: 5 }, () => {
    beat();
    return mode.isPause;
  });
  expect(pauses).toEqual([false, false, true, false, false]);
});

it('takes for lost to a signal what two beats are apart at most', () => {
  expect([120, 120.1].map((millis) => idle().mode.canHaveLost(millis))).toEqual([true, false]);
  expect([520, 520.1].map((millis) => idle(500).mode.canHaveLost(millis))).toEqual([true, false]);
});

it('knows its own beat, of whichever timer', () => {
  const { mode } = idle();
  const timers = [{}, {}] as const;
  for (const timer of timers) {
    mode.followBeat(timer);
    expect(timers.map((each) => mode.isBeat(each))).toEqual(timers.map((each) => each === timer));
  }
});
