// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { findInCode } from '../../src/block/location.js';
import type { SampledFrame, StackSample } from '../../src/model.js';

const LOOK = 20;

/** `name`, or `name:line`; what begins with `node:` is Node.js's own, and `async name` awaits what is called. */
function frame(text: string): SampledFrame {
  const [, async = '', name = '', line = '1'] = /^(async )?(.*?)(?::(\d+))?$/.exec(text) ?? [];
  const filePath = name.startsWith('node:') ? name : '/app/main.js';
  return {
    text: `${async}${name} (${filePath}:${line}:1)`,
    functionName: name,
    filePath,
    lineNumber: Number(line),
    columnNumber: 1,
    functionKey: `${filePath} ${name}`,
  };
}

/** Stacks as they are read, the outermost call first: `main > walk > leaf`. One look follows the other. */
function samples(...stacks: (string | [stack: string, millis: number, more?: Partial<StackSample>])[]): StackSample[] {
  let from = 0;
  return stacks.map((given) => {
    const [text, millis, more] = typeof given === 'string' ? [given, LOOK, {}] : given;
    const until = from + millis;
    const frames = text === '' ? [] : text.split(' > ').map(frame).reverse();
    const probe = {
      loopCount: 1,
      callback: 1,
      stack: frames,
      isCut: false,
      isCertain: false,
      accuracy: 'during',
    } as const;
    const made = { ...probe, from, until, ...more };
    from = until;
    return made;
  });
}

/** Of a block that the samples cover. */
function find(seen: readonly StackSample[], durationMillis = seen.at(-1)?.until ?? 0) {
  const found = findInCode(seen, { startedAt: 0, endedAt: durationMillis }, 200);
  const { location, hottest, functions, callbackCount } = found;
  const nameOf = (of: { frame: { functionName: string } }): string => of.frame.functionName;
  return {
    culprit: location && `${nameOf(location)}:${location.frame.lineNumber}`,
    share: location?.share,
    stack: location?.stack.map(({ functionName }) => functionName),
    accuracy: location?.accuracy,
    hottest: hottest && [nameOf(hottest), hottest.selfMillis, hottest.durationMillis],
    functions: functions.map((part) => [nameOf(part), part.durationMillis, part.selfMillis]),
    isPile: callbackCount === 200,
  };
}

describe('the culprit', () => {
  it('is the one that calls fifty helpers, not the helper that was seen last or longest', () => {
    const helpers = Array.from({ length: 10 }, (_, i) => `main:1 > build:${i % 3 ? 7 : 5} > helper${i}`);
    const found = find(samples(['main:1 > build:7 > helper99', 45], ...helpers));
    expect(found).toMatchObject({ culprit: 'build:7', share: 1, stack: ['build', 'main'], accuracy: 'during' });
    expect(found.functions.slice(0, 2)).toEqual([
      ['helper99', 45, 45],
      ['helper0', 20, 20],
    ]);
    expect(found.functions.length).toBe(5);
    expect(found.hottest).toBeUndefined();
  });

  it('is the innermost where one function runs all the time, at the line where it mostly stood', () => {
    const found = find(samples('main > busy:3', 'main > busy:4', 'main > busy:4', 'main > node:fs'));
    expect(found).toMatchObject({ culprit: 'busy:4', share: 0.75, functions: [['busy', 60, 60]] });
  });

  it.each([
    [12, 'helper'],
    [11, 'main'],
  ])('needs six tenths of the time: with %i of 20 samples it is %s', (count, culprit) => {
    const seen = Array.from({ length: 20 }, (_, i) => (i < count ? 'main > helper' : `main > other${i}`));
    expect(find(samples(...seen)).culprit).toBe(`${culprit}:1`);
  });

  it('is found behind the calls of Node.js, whichever way they go', () => {
    const found = find(samples('main > node:a > work', 'main > node:b > node:c > work', 'main > work > node:fs'));
    expect(found).toMatchObject({ culprit: 'work:1', share: 1, hottest: undefined });
  });

  it('weighs samples by the time that they stand for, and none by what was before the block', () => {
    const first = samples(['main > idle', 90], ['main > work', 20], ['main > work', 20]);
    expect(findInCode(first, { startedAt: 70, endedAt: 130 }).location).toMatchObject({
      frame: { functionName: 'work' },
      share: 40 / 60,
    });
  });

  it('of several functions that share the time is the largest, with its share', () => {
    const found = find(samples(['a', 500], ['a', 10], ['b', 400], ['c', 290]));
    expect(found).toMatchObject({ culprit: 'a:1', share: 510 / 1200 });
    expect(found.functions).toEqual([
      ['a', 510, 510],
      ['b', 400, 400],
      ['c', 290, 290],
    ]);
  });

  it('is nobody where for the most part nothing certain was seen', () => {
    expect(find(samples(['', 60], 'main > work')).culprit).toBeUndefined();
    expect(find([]).culprit).toBeUndefined();
  });

  it('is the caller where a long block was seen only once', () => {
    expect(find(samples(['main > build > helper', 45]), 104).culprit).toBe('helper:1');
    expect(find(samples(['main > build > helper', 45]), 105).culprit).toBe('build:1');
    expect(find(samples(['busy', 45]), 150).culprit).toBe('busy:1');
    // But not where a native call took all of it.
    expect(find(samples(['main > run', 150, { isCertain: true }])).culprit).toBe('run:1');
  });

  it('prefers a stack that was read during the block, and says where none was', () => {
    const after = { accuracy: 'after' } as const;
    expect(find(samples(['main > work', 90, after], 'main > work')).accuracy).toBe('during');
    expect(find(samples(['main > work', 90, after], ['main > work', 20, after])).accuracy).toBe('after');
  });
});

describe('recursion', () => {
  it('is folded: of a walk over a tree the function that walks', () => {
    const found = find(
      samples('main > walk:1 > leaf1', 'main > walk:1 > walk:2 > walk:2 > leaf2', 'main > walk:1 > walk:2 > leaf3'),
    );
    expect(found).toMatchObject({ culprit: 'walk:2', share: 1, stack: ['walk', 'walk', 'walk', 'main'] });
  });

  it('goes on in what is called from a deeper turn', () => {
    const seen = ['main > a > b > a > work:3', 'main > a > b > a > b > a > work:4', 'main > a > work:4'];
    expect(find(samples(...seen))).toMatchObject({ culprit: 'work:4', share: 1 });
  });

  it('of three functions in turn is the innermost of them', () => {
    const seen = ['main > a > b > c > x1', 'main > a > b > c > a > b > c > x2', 'main > a > b > c > x3'];
    expect(find(samples(...seen)).culprit).toBe('c:1');
  });
});

describe('a function that awaits what runs', () => {
  it('is the culprit where nothing that ran has most of the time', () => {
    const found = find(samples(...['a', 'b', 'c', 'd'].map((name) => `async main > async each:3 > ${name}`)));
    expect(found).toMatchObject({ culprit: 'each:3', share: 1, stack: ['each', 'main'] });
    expect(found.functions.map(([name]) => name)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('is not where one of those that ran has half of the time', () => {
    const seen = ['async main > async one > a', 'async main > async one > a', 'async main > two > b', 'async main > c'];
    expect(find(samples(...seen))).toMatchObject({ culprit: 'a:1', share: 0.5 });
  });

  it('is not where a function has that it had called in turn', () => {
    const seen = ['async main > async one > work:2', 'async main > async two > work:2', 'async main > work:3'];
    expect(find(samples(...seen))).toMatchObject({ culprit: 'work:2', share: 1 });
  });
});

describe('a stack that is cut', () => {
  const cut = { isCut: true };

  it('goes where the others know its outermost frame', () => {
    const found = find(
      samples('main > walk > work', ['walk > walk > work', LOOK, cut], ['walk > walk > walk > x', LOOK, cut]),
    );
    expect(found).toMatchObject({ culprit: 'work:1', share: 2 / 3 });
    expect(find(samples('main > walk > x1', ['walk > x2', LOOK, cut], 'main > y')).stack).toEqual(['walk', 'main']);
  });

  it('agrees with the others in the turn of a recursion, where all are cut', () => {
    const found = find(
      samples(['a > b > c > a > x', LOOK, cut], ['b > c > a > b > c > y', LOOK, cut], ['c > a > b > z', LOOK, cut]),
    );
    expect(found).toMatchObject({ share: 1 });
    expect(['a:1', 'b:1', 'c:1']).toContain(found.culprit);
  });
});

describe('what the time divides into', () => {
  it('are the functions that the culprit called, with what they called, and itself', () => {
    const found = find(
      samples(
        ['main > handler > parse > token', 400],
        ['main > handler > parse > skip', 100],
        ['main > handler > render', 300],
        ['main > handler', 200],
      ),
    );
    expect(found.culprit).toBe('handler:1');
    expect(found.functions).toEqual([
      ['parse', 500, 0],
      ['render', 300, 300],
      ['handler', 200, 200],
    ]);
  });

  it('are no more than there was, where a function calls itself', () => {
    const found = find(
      samples('main > walk > a > walk > b > x', 'main > walk > a > walk > y', 'main > walk > b > walk > z'),
    );
    expect(found.culprit).toBe('walk:1');
    expect(found.functions.map(([name, millis]) => [name, millis])).toEqual([
      ['b', 20],
      ['y', 20],
      ['z', 20],
    ]);
  });

  it('scales to the length of the block', () => {
    const found = find(samples(['main > a', 30], ['main > b', 30]), 120);
    expect(found.functions).toEqual([
      ['a', 60, 60],
      ['b', 60, 60],
    ]);
  });
});

describe('the hottest function', () => {
  const seen = (count: number, total: number) =>
    samples(...Array.from({ length: total }, (_, i) => (i < count ? `main > f${i} > get` : `main > g${i}`)));

  it('is that with most time by itself, wherever it was called from', () => {
    expect(find(seen(3, 12))).toMatchObject({ culprit: 'main:1', hottest: ['get', 60, 60] });
  });

  it('is not named for one sample, for a twentieth of the time, nor beside itself', () => {
    expect(find(seen(1, 12)).hottest).toBeUndefined();
    expect(find(seen(2, 41)).hottest).toBeUndefined();
    expect(find(seen(2, 40)).hottest).toMatchObject(['get', 40, 40]);
    expect(find(samples('main', 'main', 'main > x')).hottest).toBeUndefined();
  });
});

describe('a pile of callbacks', () => {
  const pile = (...callbacks: number[]) =>
    find(samples(...callbacks.map((callback) => ['small', LOOK, { callback }] as [string, number, object])));

  it('is one where no callback was there for half of the time', () => {
    expect(pile(1, 20, 40, 60)).toMatchObject({ isPile: true, culprit: 'small:1' });
    expect(pile(1, 1, 40, 60)).toMatchObject({ isPile: false });
    expect(pile(1, 20)).toMatchObject({ isPile: false });
    expect(pile(7, 7, 7, 7)).toMatchObject({ isPile: false });
  });
});
