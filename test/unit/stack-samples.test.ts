// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { SampledFrame } from '../../src/model.js';
import { type Look, samplesOf } from '../../src/watchdog/stack-samples.js';

function frame(name: string): SampledFrame {
  const filePath = name.startsWith('node:') ? name : '/app/main.js';
  const place = { functionName: name, filePath, lineNumber: 1, columnNumber: 1 };
  return { ...place, text: `${name} (${filePath}:1:1)`, functionKey: name };
}

/** Asked for at 45, after a beat at 0; the outermost call first. */
function look(stack: string, more: Partial<Look> = {}): Look {
  const frames = stack.split(' > ').map(frame).reverse();
  const times = { since: 0, askedAt: 45, at: 45.2, isPrompt: true };
  return { loopCount: 7, callback: 2, job: 3, isCut: false, outer: [], justEntered: false, frames, ...times, ...more };
}

const LATE = { isPrompt: false, at: 55 };

/** `caller > function, milliseconds` of each probe. */
function vouched(made: Look, before?: Look): string[] {
  return samplesOf(made, before).map(({ stack, from, until, accuracy }) => {
    const names = stack.map(({ functionName }) => functionName).reverse();
    return `${names.join(' > ')}, ${Math.round(until - from)} ${accuracy}`;
  });
}

describe('a look that is answered at once', () => {
  it('stands for the time since the one before', () => {
    expect(vouched(look('save > write > node:fs'))).toEqual(['save > write, 45 during']);
    expect(vouched(look('save > write', { since: 40 }))).toEqual(['save > write, 5 during']);
  });

  it('says nothing of a function that had only just been entered, but of its caller', () => {
    expect(vouched(look('save > write', { justEntered: true }))).toEqual(['save, 45 during']);
    expect(vouched(look('write', { justEntered: true }))).toEqual(['write, 45 during']);
  });

  it('does where the look before had found it as well', () => {
    const entered = look('sort > compare', { justEntered: true });
    expect(vouched(entered, look('sort > compare'))).toEqual(['sort > compare, 45 during']);
    expect(vouched(entered, look('sort > swap'))).toEqual(['sort, 45 during']);
    expect(vouched(entered, look('sort > compare', { job: 2 }))).toEqual(['sort, 45 during']);
  });
});

describe('a look that a native call had held up', () => {
  it('stands for the time that it was held up, and only its caller for what was before', () => {
    expect(vouched(look('save > write', LATE))).toEqual(['save > write, 10 after', 'save, 45 after']);
    expect(vouched(look('save > write > node:fs', LATE))).toEqual(['save > write, 10 after', 'save, 45 after']);
  });

  it('says of the time before what it has in common with the look before', () => {
    const before = look('main > save > serialize');
    expect(vouched(look('main > save > write', { ...LATE, since: 30 }), before)).toEqual([
      'main > save > write, 10 after',
      'main > save, 15 after',
    ]);
    expect(vouched(look('main > save > write', LATE), look('main > save > write'))[1]).toBe(
      'main > save > write, 45 after',
    );
    // In another callback it says nothing.
    expect(vouched(look('main > save > write', LATE), look('main > save > write', { job: 2 }))[1]).toBe(
      'main > save, 45 after',
    );
  });

  it('never names what was only entered behind the call', () => {
    expect(vouched(look('save > write', { ...LATE, justEntered: true }))).toEqual(['save, 10 after', 'save, 45 after']);
    expect(vouched(look('write', { ...LATE, justEntered: true }))).toEqual([', 10 after', ', 45 after']);
  });

  it('says of a callback that has no caller that it was itself there', () => {
    expect(vouched(look('node:timers > callback', LATE))).toEqual([
      'node:timers > callback, 10 after',
      'node:timers > callback, 45 after',
    ]);
  });

  it('is certain of what it was held up by', () => {
    expect(samplesOf(look('save > write', LATE), undefined).map(({ isCertain }) => isCertain)).toEqual([true, false]);
  });
});
