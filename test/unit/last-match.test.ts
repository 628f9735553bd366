// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { rememberLastMatch } from '../../src/system/last-match.js';

const NAMES = Array.from({ length: 9 }, (_, i) => `$${i + 1}`);
const STATICS = ['input', 'lastMatch', 'leftContext', 'rightContext', 'lastParen', ...NAMES];
const statics = (): string[] => STATICS.map((name) => (RegExp as unknown as Record<string, string>)[name] as string);

it.each<[RegExp, string]>([
  [/b(c)(d)?/, 'abcde'],
  [/(?<year>\d{4})-(\d\d)/, 'on 2026-11-27, or so'],
  [/(x)?y/, 'y'],
  [/(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)/, '-abcdefghijkl'],
  [/(?<=(\w+) )b(?= (\w+))/, 'before b behind'],
  [/(?<=(o.))b/, 'ofb'],
  [/((a)b)\2/, 'xaba'],
  [/(?=(.+))b/, 'abc'],
  [/$/, 'end'],
  [/(\n.*?)(😀)/u, 'a\nb😀c'],
  [/[.*+?^${}()|[\]\\]/, 'a(b'],
])('what RegExp tells of %s stays through other matches', (pattern, text) => {
  pattern.exec(text);
  const before = statics();
  const bringBack = rememberLastMatch();
  /(o)(t)(h)er/.exec('another one');
  expect(statics()).not.toEqual(before);
  bringBack();
  expect(statics()).toEqual(before);
});

it('leaves what RegExp tells alone where nothing was matched meanwhile', () => {
  /(a)/.exec('cab');
  const before = statics();
  rememberLastMatch()();
  expect(statics()).toEqual(before);
});

it('gives up a match that is very long', () => {
  /(a+)/.exec('a'.repeat(100_000));
  const bringBack = rememberLastMatch();
  /(z)/.exec('z');
  bringBack();
  expect(RegExp.$1).toBe('z');
});
