// SPDX-License-Identifier: Apache-2.0
// What the guard holds against a limit, and what not.
import type { Profiler } from 'node:inspector';
import { afterEach, describe, expect, it } from 'vitest';
import { findInCode } from '../../src/block/location.js';
import { countedMillis, describeFinding, type Finding } from '../../src/debug/finding.js';
import { Looks } from '../../src/debug/looks.js';
import { debugOptions } from '../../src/debug/options.js';
import { mapBlock, mapByPreparing } from '../../src/debug/prepared-stack.js';
import { Relatives } from '../../src/debug/relatives.js';
import type { SampledFrame, StackSample } from '../../src/model.js';
import type { StackFrame } from '../../src/types.js';
import { profiledSamples } from '../../src/watchdog/profile-samples.js';
import { blockOf } from '../support/block.js';

function frame(functionName: string, filePath: string, loadedModule?: string): SampledFrame {
  const text = `${functionName} (${filePath}:4:2)`;
  const plain = { functionName, filePath, lineNumber: 4, columnNumber: 2, text, functionKey: text };
  return loadedModule === undefined ? plain : { ...plain, loadedModule };
}

function sample(stack: readonly SampledFrame[], from: number, until: number): StackSample {
  const rest = { loopCount: 1, callback: 1, isCut: false, accuracy: 'during', isCertain: false } as const;
  return { ...rest, stack, from, until };
}

const REPORT = frame('buildReport', '/app/report.js');
const LAZY = [
  frame('lib', '/app/node_modules/lib/index.js', 'typescript'),
  frame('handle', '/app/app.js', '/app/node_modules/lib/index.js'),
];

const BLOCK = blockOf({
  durationMillis: 500,
  location: { frame: REPORT, stack: [REPORT], accuracy: 'during', share: 1 },
  cause: 'cpu',
  cpuMillis: 500,
  hostMillis: 0,
  gcMillis: 0,
  asyncResource: 'Timeout',
});
const FINDING: Finding = { block: BLOCK, loadingMillis: 0, loading: undefined, test: undefined };

describe('what looks say of loading', () => {
  it('counts for as much of the block as of what was seen, and names who asked', () => {
    const looks = new Looks();
    looks.add(sample([REPORT], 0, 1_100), 1_100, false);
    looks.add(sample(LAZY, 1_100, 1_400), 1_400, true);
    looks.add(sample([], 1_400, 1_500), 1_500, true);
    looks.add(sample([REPORT], 1_500, 1_600), 1_600, false);
    // The last look is at 1,600, and the block goes on until 1,750.
    expect(looks.loadingBetween(1_000, 1_750).millis).toBeCloseTo(500);
    expect(looks.loadingBetween(1_000, 1_750).frame).toMatchObject({ functionName: 'handle' });
    expect(looks.loadingBetween(1_500, 1_600)).toEqual({ millis: 0, frame: undefined });
    expect(looks.loadingBetween(5_000, 6_000)).toEqual({ millis: 0, frame: undefined });
  });

  it('does not count what one look left out for the next once more', () => {
    const looks = new Looks();
    // Only a loader is on the stack: the watchdog keeps no sample of it, and the next says it is since before that.
    looks.add(sample([], 0, 100), 100, true);
    looks.add(sample([REPORT], 0, 200), 200, false);
    expect(looks.loadingBetween(0, 200).millis).toBeCloseTo(100);
  });

  it('and whose code it was', () => {
    const looks = new Looks();
    const [mine, others] = [{}, {}];
    looks.add(sample([REPORT], 0, 100), 100, false, mine);
    looks.add(sample([REPORT], 100, 400), 400, false, others);
    looks.add(sample([REPORT], 400, 600), 600, false, mine);
    expect(looks.testBetween(0, 300)).toBe(others);
    expect(looks.testBetween(450, 600)).toBe(mine);
    expect(looks.testBetween(700, 800)).toBeUndefined();
  });
});

describe('against the limit is held', () => {
  it('neither time without a core nor loading, unless that counts', () => {
    expect(countedMillis(FINDING, false)).toBe(500);
    expect(countedMillis({ ...FINDING, block: { ...BLOCK, hostMillis: 200 } }, false)).toBe(300);
    expect(countedMillis({ ...FINDING, block: { ...BLOCK, hostMillis: undefined } }, false)).toBe(500);
    expect(countedMillis({ ...FINDING, loadingMillis: 500 }, false)).toBe(0);
    expect(countedMillis({ ...FINDING, loadingMillis: 500 }, true)).toBe(500);
    // The core was missed by both alike.
    const both = { ...FINDING, loadingMillis: 250, block: { ...BLOCK, hostMillis: 100 } };
    expect([countedMillis(both, false), countedMillis(both, true)]).toEqual([200, 400]);
  });

  it('what is told in words', () => {
    const place = 'in buildReport (/app/report.js:4:2)';
    expect(describeFinding(FINDING, 500)).toBe(`event loop blocked for 500 ms ${place}`);
    const loading = 'loading module "typescript" (required in app.js:4:2)';
    expect(describeFinding({ ...FINDING, loading }, 500)).toBe(
      `event loop blocked for 500 ms ${place} while ${loading}`,
    );
    expect(describeFinding(FINDING, 300)).toBe(`event loop blocked for 500 ms ${place} (300 ms of it count)`);
    const unseen = { ...FINDING, block: { ...BLOCK, location: undefined } };
    expect(describeFinding(unseen, 500)).toBe('event loop blocked for 500 ms in Timeout, no stack');
  });

  it('loading only where somebody says so', () => {
    const said: string[] = [];
    const countLoading = (text?: string) =>
      debugOptions({ OTEL_EVENT_LOOP_DEBUG_COUNT_LOADING: text }, (line) => said.push(line)).countLoading;
    expect([countLoading(), countLoading('true'), countLoading('false'), countLoading('yes')]).toEqual([
      false,
      true,
      false,
      false,
    ]);
    expect(said).toEqual([
      'OTEL_EVENT_LOOP_DEBUG_COUNT_LOADING must be true or false, not "yes"; the default false is used',
    ]);
  });
});

describe('the profile of a thread', () => {
  const call = (functionName: string, url: string, lineNumber = 0, columnNumber = 1) => ({
    callFrame: { functionName, scriptId: '0', url, lineNumber, columnNumber },
  });
  const profile: Profiler.Profile = {
    nodes: [
      { id: 1, ...call('(root)', ''), children: [2, 3, 7] },
      { id: 2, ...call('listOnTimeout', 'node:internal/timers'), children: [4] },
      { id: 3, ...call('(program)', '') },
      { id: 4, ...call('handle', 'file:///app/app.mjs', 6), children: [5] },
      { id: 5, ...call('', '/app/report.js', 40), children: [6] },
      { id: 6, ...call('now', 'node:internal/perf/performance') },
      { id: 7, ...call('require', 'node:internal/modules/helpers') },
    ],
    startTime: 1_000_000,
    endTime: 1_080_000,
    samples: [3, 5, 6, 6, 7],
    timeDeltas: [10_000, 10_000, 10_000, 20_000, 10_000],
  };

  it('is told as looks are, on the clock of the thread', () => {
    const told = profiledSamples(profile, 580).map(({ stack, isLoading, from, until }) => ({
      stack: stack.map(({ text }) => text),
      isLoading,
      from,
      until,
    }));
    const stack = ['/app/report.js:41:2', 'handle (/app/app.mjs:7:2)', 'listOnTimeout (node:internal/timers:1:2)'];
    expect(told).toEqual([
      { stack: [], isLoading: false, from: 500, until: 510 },
      { stack, isLoading: false, from: 510, until: 520 },
      { stack, isLoading: false, from: 520, until: 530 },
      { stack, isLoading: false, from: 530, until: 550 },
      { stack: [], isLoading: true, from: 550, until: 560 },
    ]);
  });

  it('tells the line with most of the time, of the function that ran, in the files that are asked for', () => {
    const ticks = [
      { line: 44, ticks: 1 },
      { line: 42, ticks: 2 },
      { line: 44, ticks: 2 },
    ];
    const nodes = profile.nodes.map((node) => (node.id === 5 ? { ...node, positionTicks: ticks } : node));
    const read = (tellsLine: (file: string) => boolean) =>
      profiledSamples({ ...profile, nodes }, 580, { tellsLine }).map(({ stack }) => stack[0]?.text);
    // Where it called another function it is not told.
    expect(read((file) => file === '/app/report.js').slice(1, 3)).toEqual([
      '/app/report.js:44:1',
      '/app/report.js:41:2',
    ]);
    expect(read(() => false).slice(1, 3)).toEqual(['/app/report.js:41:2', '/app/report.js:41:2']);
  });

  it('may have its times in 32 bits', () => {
    const [first] = profiledSamples({ ...profile, startTime: 2 ** 32 - 10_000, endTime: 70_000 }, 580);
    expect(first).toMatchObject({ from: 500, until: 510 });
  });

  it('knows the body of a module, and what that calls, by a loader whose functions have no name', () => {
    const loader = 'node:internal/modules/cjs/loader';
    const nodes = [
      { id: 1, ...call('(root)', ''), children: [2] },
      { id: 2, ...call('setUp', '/app/a.test.js', 6), children: [3] },
      // `Module.prototype.require`, which something stands in for.
      { id: 3, ...call('require', 'node:internal/modules/helpers'), children: [4] },
      { id: 4, ...call('', '/app/patch.js', 0, 20), children: [5] },
      { id: 5, ...call('', loader, 1_517, 35), children: [6] },
      { id: 6, ...call('', loader, 1_729, 36), children: [7] },
      { id: 7, ...call('', '/app/table.js', 0, 0), children: [8] },
      { id: 8, ...call('build', '/app/table.js', 3) },
    ];
    const [inPatch, inBuild] = profiledSamples({ ...profile, nodes, samples: [4, 8] }, 580);
    const of = (sample = inPatch) =>
      sample?.stack.map(({ functionName, loadedModule }) => ({ functionName, loadedModule }));
    expect(of(inPatch)).toEqual([{ functionName: 'setUp', loadedModule: '' }]);
    expect(of(inBuild)?.slice(0, 2)).toEqual([
      { functionName: 'build', loadedModule: undefined },
      { functionName: '<anonymous>', loadedModule: undefined },
    ]);
    expect(inBuild?.stack.at(-1)).toMatchObject({ functionName: 'setUp', loadedModule: '/app/table.js' });
  });

  it('names the function that it has seen time and again, whatever it has seen beside it', () => {
    const samples = Array<number>(100).fill(6);
    const timeDeltas = Array<number>(101).fill(5_000);
    const long = { ...profile, endTime: 1_000_000 + 505_000, samples: [7, ...samples], timeDeltas };
    expect(findInCode(profiledSamples(long, 1_000), { startedAt: 495, endedAt: 1_000 }).location).toMatchObject({
      frame: { filePath: '/app/report.js', lineNumber: 41 },
    });
  });
});

describe('where a compiler on the fly says that a frame stands', () => {
  const raw = [frame('handle', '/app/app.ts'), frame('main', '/app/main.js')];
  const inSource: StackFrame = { ...frame('main', '/app/main.ts'), text: 'main (/app/main.ts:9:1)' };
  /** As vite's and source-map-support do it, which read what they need of the call site. */
  const prepare = (error: Error, sites: NodeJS.CallSite[]) =>
    `${error.name}\n${sites.map((site) => `    at ${site.getFunctionName()} (${site.getFileName()}:${Number(site.getLineNumber()) + 38}:7)`).join('\n')}`;

  it('it is told, unless its source is known already', () => {
    expect(mapByPreparing([raw[0] as StackFrame, inSource], raw, prepare).map(({ text }) => text)).toEqual([
      'handle (/app/app.ts:42:7)',
      'main (/app/main.ts:9:1)',
    ]);
  });

  it('in all of a block', () => {
    const handle = raw[0] as StackFrame;
    const location = { frame: handle, stack: raw, accuracy: 'during', share: 1 } as const;
    const functions = [{ frame: handle, durationMillis: 500, selfMillis: 500 }];
    const mapped = mapBlock({ ...BLOCK, location, functions }, prepare);
    const frames = [mapped.location?.frame, mapped.location?.stack[1], mapped.functions[0]?.frame];
    expect(frames.map((frame) => frame?.text)).toEqual([
      'handle (/app/app.ts:42:7)',
      'main (/app/main.js:42:7)',
      'handle (/app/app.ts:42:7)',
    ]);
  });

  it('and stays where nobody says anything, or nothing of use', () => {
    expect(mapByPreparing(raw, raw, undefined)).toEqual(raw);
    expect(mapByPreparing(raw, raw, () => [])).toEqual(raw);
    const throws = () => {
      throw new Error('foreign');
    };
    expect(mapByPreparing(raw, raw, throws)).toEqual(raw);
  });
});

describe('a family of processes', () => {
  const heads: Relatives[] = [];
  afterEach(() => {
    for (const head of heads.splice(0)) head.take();
  });

  it('tells its head, once', () => {
    const environment: NodeJS.ProcessEnv = {};
    const head = new Relatives(environment);
    heads.push(head);
    const child = new Relatives({ ...environment });
    expect([head.isHead, child.isHead, child.hasTold]).toEqual([true, false, false]);
    expect(head.take()).toEqual([]);
    child.tell({ millis: 300, text: 'event loop blocked for 300 ms' });
    child.tell({ millis: 200, text: 'event loop blocked for 200 ms' });
    expect(child.hasTold).toBe(true);
    expect(head.take()).toEqual([
      { millis: 300, text: `event loop blocked for 300 ms [process ${process.pid}]` },
      { millis: 200, text: `event loop blocked for 200 ms [process ${process.pid}]` },
    ]);
    expect(head.take()).toEqual([]);
  });
});
