// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { describe, expect, it } from 'vitest';
import type { Block, BlockShare, CodeLocation, EntryOperation, FunctionTime, StackFrame } from '../../src/types.js';
import { describeBlock, describeHang, describeWhose } from '../../src/words/sentence.js';
import { blockOf } from '../support/block.js';

const SERVER = 1;

function frame(functionName: string, filePath = `${process.cwd()}/src/report.ts`): StackFrame {
  const place = { functionName, filePath, lineNumber: 42, columnNumber: 7 };
  return { ...place, text: `${functionName} (${filePath}:42:7)` };
}

function locationOf(functionName: string, share = 1): CodeLocation {
  return { frame: frame(functionName), stack: [frame(functionName)], accuracy: 'during', share };
}

let lastSpan = 0;
/** Without a name it is code under no span. */
function share(name: string | undefined, durationMillis: number, traceId = `${++lastSpan}`, kind = 0): BlockShare {
  const span = { kind, spanContext: () => ({ traceId, spanId: `${++lastSpan}`, traceFlags: 1 }) } as unknown as Span;
  return name === undefined ? { span: undefined, name: '(no span)', durationMillis } : { span, name, durationMillis };
}

const say = (parts: Partial<Block>): string =>
  describeBlock(blockOf(parts)).replace('event loop blocked for 412 ms', '…');
const whose = (parts: Partial<Block>): string =>
  describeWhose(blockOf(parts)).replace('event loop blocked for 412 ms', '…');

describe('where', () => {
  const blamed = [share('GET /report', 410)];

  it('is said with who and how long', () => {
    expect(describeBlock(blockOf({ blamed, location: locationOf('buildReport') }))).toBe(
      'event loop blocked for 412 ms by "GET /report" in buildReport (src/report.ts:42:7)',
    );
    expect(describeBlock(blockOf({ blamed }))).toBe('event loop blocked for 412 ms by "GET /report"');
    expect(describeBlock(blockOf({ location: locationOf('buildReport') }))).toBe(
      'event loop blocked for 412 ms in buildReport (src/report.ts:42:7)',
    );
    expect(describeBlock(blockOf({}))).toBe('event loop blocked for 412 ms');
  });

  it('is said with the hottest function beside it', () => {
    const get = frame('get', `${process.cwd()}/node_modules/chalk/index.js`);
    const hottest: FunctionTime = { frame: get, durationMillis: 40, selfMillis: 37 };
    expect(say({ blamed, location: locationOf('buildSchema'), hottest })).toBe(
      '… by "GET /report" in buildSchema (src/report.ts:42:7), 9 % of it in get (node_modules/chalk/index.js:42:7)',
    );
  });

  it('is said with its share where that is not the most of it', () => {
    expect(say({ blamed, location: locationOf('parse', 0.42) })).toBe(
      '… by "GET /report", 42 % of it in parse (src/report.ts:42:7)',
    );
  });

  it('is said of the callbacks where it was many', () => {
    const pile = { callbackCount: 200, location: locationOf('small') };
    expect(say(pile)).toBe('… by 200 callbacks, most of them small (src/report.ts:42:7)');
    expect(say({ ...pile, blamed })).toBe(
      '… by "GET /report" in 200 callbacks, most of them small (src/report.ts:42:7)',
    );
    expect(say({ ...pile, location: locationOf('small', 0.3) })).toBe(
      '… by 200 callbacks, 30 % of it in small (src/report.ts:42:7)',
    );
    expect(say({ callbackCount: 200 })).toBe('… by 200 callbacks');
  });
});

describe('who', () => {
  it('is each that was long enough alone, those of one name together', () => {
    expect(whose({ blamed: [share('a', 200), share('b', 100)] })).toBe('… by "a" and "b"');
    expect(whose({ blamed: [share('a', 200), share('b', 100), share('c', 60)] })).toBe('… by "a", "b" and "c"');
    expect(whose({ blamed: [share('x', 90), share('x', 90), share('x', 90), share('x', 90)] })).toBe('… by 4 × "x"');
    expect(whose({ blamed: [share('x', 90), share('y', 100), share('x', 90)] })).toBe('… by 2 × "x" and "y"');
  });

  it('is not a list that nobody reads', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'a'].map((name, i) => share(name, 90 - i));
    expect(whose({ blamed: names })).toBe('… by 2 × "a", "b" and 3 others');
  });

  it('is first in whose trace the block is, also where another had some more of it', () => {
    expect(whose({ blamed: [share('a', 80), share('b', 90)] })).toBe('… by "a" and "b"');
  });

  it('is nobody where it was code under no span, which goes with others only', () => {
    expect(whose({ shares: [share(undefined, 400), share('a', 12)], blamed: [share(undefined, 400)] })).toBe('…');
    expect(whose({ blamed: [share(undefined, 300), share('a', 112)] })).toBe('… by code under no span and "a"');
    expect(whose({ shared: true, blamed: [share(undefined, 45)] })).toBe('…');
  });
});

describe('who together', () => {
  const together = (shares: BlockShare[], blamed = shares.slice(0, 1)): string =>
    whose({ shared: true, shares, blamed });

  it('is a request with what took longest in it', () => {
    const parts = Array.from({ length: 11 }, (_, i) => share(`middleware - ${i}`, 4, 'trace'));
    const entry = share('GET /report', 3, 'trace', SERVER);
    const json = share('middleware - json', 30, 'trace');
    expect(together([json, ...parts, entry], [json])).toBe('… by "GET /report", longest in "middleware - json"');
    expect(together([json, entry], [json])).toBe('… by "GET /report" with "middleware - json"');
    expect(together([json, ...parts], [share('handler', 0, 'trace')])).toBe(
      '… by "handler", longest in "middleware - json"',
    );
    const items = Array.from({ length: 20 }, () => share('item', 3, 'trace'));
    expect(together(items, [share('parent', 0, 'trace')])).toBe('… by "parent" with 20 × "item"');
  });

  it('is how many spans of different requests, and of which name most', () => {
    const small = Array.from({ length: 20 }, (_, i) => share(`small ${i}`, 5 + i / 10));
    expect(together(small.toReversed())).toBe('… by 20 spans, the longest "small 19"');
    const gets = Array.from({ length: 12 }, () => share('GET /x', 5));
    expect(together([...small, ...gets])).toBe('… by 32 spans, 12 of them "GET /x"');
    expect(together(gets)).toBe('… by 12 × "GET /x"');
    expect(together([...small, ...gets], [share('a', 0), share('b', 0)])).toBe('… by "a" and "b"');
  });

  it('is one span, and code under none', () => {
    expect(together([share('a', 40), share(undefined, 20)])).toBe('… by "a" and code under no span');
    expect(together([share(undefined, 40), share('a', 20)])).toBe('… by code under no span and "a"');
    const few = Array.from({ length: 7 }, (_, i) => share(`small ${i}`, 5));
    expect(together([share(undefined, 40), ...few])).toBe('… by code under no span and 7 spans');
  });
});

describe('in which request', () => {
  const request = share('GET /report', 3, 'trace', SERVER);
  const entry: EntryOperation = {
    span: request.span as Span,
    name: 'GET /report',
    kind: 'server',
    route: '/report',
    attributes: {},
  };
  const inner = [share('build report', 400, 'trace')];

  it('is said of a span inside of it, apart from where in the code', () => {
    expect(say({ blamed: inner, entry, location: locationOf('buildReport') })).toBe(
      '… by "build report" in GET /report, in buildReport (src/report.ts:42:7)',
    );
    expect(say({ blamed: inner, entry })).toBe('… by "build report" in GET /report');
    expect(whose({ blamed: inner, entry, location: locationOf('buildReport') })).toBe(
      '… by "build report" in GET /report',
    );
    expect(say({ blamed: inner, entry, location: locationOf('parse', 0.42) })).toBe(
      '… by "build report" in GET /report, 42 % of it in parse (src/report.ts:42:7)',
    );
    expect(say({ blamed: inner, entry, location: locationOf('small'), callbackCount: 200 })).toBe(
      '… by "build report" in GET /report, in 200 callbacks, most of them small (src/report.ts:42:7)',
    );
  });

  it('is not said twice', () => {
    expect(say({ blamed: [request], entry, location: locationOf('buildReport') })).toBe(
      '… by "GET /report" in buildReport (src/report.ts:42:7)',
    );
    const parts = Array.from({ length: 5 }, (_, i) => share(`part ${i}`, 20, 'trace'));
    expect(whose({ shared: true, shares: [...parts, request], blamed: [request], entry })).toBe(
      '… by "GET /report", longest in "part 0"',
    );
    expect(whose({ shared: true, shares: parts, blamed: parts.slice(0, 1), entry })).toBe(
      '… by "part 0", longest in "part 1" in GET /report',
    );
  });

  it('is said of the first that is blamed alone, and not where nobody knows whose the others are', () => {
    const nobody = share(undefined, 60);
    expect(say({ blamed: [...inner, nobody], entry, location: locationOf('buildReport') })).toBe(
      '… by "build report" in GET /report and code under no span, in buildReport (src/report.ts:42:7)',
    );
    expect(whose({ shared: true, blamed: inner, shares: [...inner, nobody], entry })).toBe(
      '… by "build report" in GET /report and code under no span',
    );
    const twice = [...inner, share('build report', 90, 'another trace')];
    expect(whose({ blamed: twice, entry })).toBe('… by 2 × "build report"');
    const other = share('other', 90, 'another trace');
    expect(whose({ blamed: [...inner, other], entry })).toBe('… by "build report" in GET /report and "other"');
    expect(whose({ shared: true, blamed: inner, shares: [...inner, other], entry })).toBe(
      '… by 2 spans, the longest "build report"',
    );
  });

  it('leads where it is an unsampled span, which does not tell its kind', () => {
    const unsampled = share('GET /report', 3, 'trace');
    const shares = [...inner, unsampled];
    const blamed = inner;
    expect(whose({ shared: true, shares, blamed, entry: { ...entry, span: unsampled.span as Span } })).toBe(
      '… by "GET /report" with "build report"',
    );
  });
});

describe('a hang', () => {
  it('is told in which request', () => {
    expect(describeHang(2_040, false, 'build report', locationOf('buildReport'), 'running', 'GET /report')).toBe(
      'event loop hangs: blocked for 2.0 s by "build report" in GET /report, in buildReport (src/report.ts:42:7)',
    );
    expect(describeHang(2_040, false, 'GET /report', undefined, 'sleeping', 'GET /report')).toBe(
      'event loop hangs: blocked for 2.0 s by "GET /report" in native code, sleeping',
    );
    expect(describeHang(2_040, false, 'build report', undefined, 'sleeping', 'GET /report')).toBe(
      'event loop hangs: blocked for 2.0 s by "build report" in GET /report, in native code, sleeping',
    );
  });

  it('is told like a block', () => {
    expect(describeHang(2_040, false, 'GET /report', locationOf('buildReport'), 'running')).toBe(
      'event loop hangs: blocked for 2.0 s by "GET /report" in buildReport (src/report.ts:42:7)',
    );
    expect(describeHang(2_040, false, undefined, undefined, 'sleeping')).toBe(
      'event loop hangs: blocked for 2.0 s in native code, sleeping',
    );
    expect(describeHang(2_040, true, undefined, locationOf('main'), 'running')).toBe(
      'event loop hangs: blocked for 2.0 s at start-up in main (src/report.ts:42:7)',
    );
    expect(describeHang(2_040, false, undefined, undefined, undefined)).toBe('event loop hangs: blocked for 2.0 s');
  });

  it('of a worker thread is not said to be in native code where nobody has looked', () => {
    expect(describeHang(2_040, false, 'build report', undefined, 'running', 'GET /report', 4)).toBe(
      'event loop of worker thread 4 hangs: blocked for 2.0 s by "build report" in GET /report, running',
    );
    expect(describeHang(2_040, false, undefined, undefined, 'sleeping', undefined, 4)).toBe(
      'event loop of worker thread 4 hangs: blocked for 2.0 s, sleeping',
    );
  });
});
