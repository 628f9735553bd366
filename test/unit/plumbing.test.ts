// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { isLoading, markLoading, outOfPlumbing } from '../../src/block/plumbing.js';
import type { StackFrame } from '../../src/types.js';
import { describeFrame } from '../../src/words/code.js';

/** As V8 prints it. */
function frame(text: string): StackFrame {
  const [, functionName = '<anonymous>', filePath = ''] =
    /^(?:async )?(?:([^(]*?) \()?([^()]+?):\d+:\d+\)?$/.exec(text) ?? [];
  const [lineNumber = 0, columnNumber = 0] = (/:(\d+):(\d+)\)?$/.exec(text) ?? []).slice(1).map(Number);
  return { text, functionName, filePath, lineNumber, columnNumber };
}

const RITM = '/app/node_modules/require-in-the-middle/index.js';
const LOADER = [
  'Module._compile (node:internal/modules/cjs/loader:1956:14)',
  'Object..js (node:internal/modules/cjs/loader:2096:10)',
  'Module.load (node:internal/modules/cjs/loader:1678:32)',
  'Module._load (node:internal/modules/cjs/loader:1470:12)',
];
const REQUIRE = [
  'Module.require (node:internal/modules/cjs/loader:1701:12)',
  'require (node:internal/modules/helpers:318:16)',
];
const PATCHED_REQUIRE = [
  'Module.<anonymous> (node:internal/modules/cjs/loader:1701:12)',
  `Module.patchedRequire (${RITM}:209:27)`,
  `Hook._require.Module.require (${RITM}:134:27)`,
  'require (node:internal/modules/helpers:318:16)',
];
const NEXT_HOOK = [
  'Module.<anonymous> (node:internal/modules/cjs/loader:1701:12)',
  'mod.require (/app/node_modules/next/dist/server/require-hook.js:65:28)',
  'require (node:internal/modules/helpers:318:16)',
];
const TIMER = ['Timeout._onTimeout (/app/app.js:9:3)', 'listOnTimeout (node:internal/timers:685:17)'];
const TYPESCRIPT = '/app/node_modules/typescript/lib/typescript.js';

/** Where it is put, of a stack that a look found from its first frame that is not Node.js's own on. */
function culprit(stack: string[]): string {
  return describeFrame(outOfPlumbing(markLoading(stack.map(frame)))[0] as StackFrame);
}

describe('a module that is loaded is put on who requires it', () => {
  it.each([
    ['while V8 compiles it', [...LOADER.slice(1), ...REQUIRE, 'lazy (/app/app.js:5:12)', ...TIMER], 'a module'],
    ['through require-in-the-middle', [...PATCHED_REQUIRE, 'lazy (/app/app.js:5:12)', ...TIMER], 'a module'],
    ["through Next's hook", [...NEXT_HOOK, 'lazy (/app/app.js:5:12)', ...TIMER], 'a module'],
    [
      'while it runs',
      [`Object.<anonymous> (${TYPESCRIPT}:20:1)`, ...LOADER, ...PATCHED_REQUIRE, 'lazy (/app/app.js:5:12)', ...TIMER],
      'module "typescript/lib/typescript.js"',
    ],
    [
      'through one of a library that requires it in turn',
      [
        `Object.<anonymous> (${TYPESCRIPT}:20:1)`,
        ...[...LOADER, ...REQUIRE],
        'Object.<anonymous> (/app/node_modules/ts-thing/index.js:1:12)',
        ...[...LOADER, ...REQUIRE],
        'lazy (/app/app.js:5:12)',
        ...TIMER,
      ],
      'module "ts-thing/index.js"',
    ],
  ])('%s', (_, stack, what) => {
    expect(culprit(stack)).toBe(`loading ${what} (required in /app/app.js:5:12)`);
  });

  it('and not where what blocks is a function that is called meanwhile, or the application itself', () => {
    const loaded = [...LOADER, ...REQUIRE, 'Object.<anonymous> (/app/app.js:1:12)', ...LOADER];
    expect(culprit([`createScanner (${TYPESCRIPT}:99:3)`, `Object.<anonymous> (${TYPESCRIPT}:20:1)`, ...loaded])).toBe(
      `createScanner (${TYPESCRIPT}:99:3)`,
    );
    expect(culprit(['Object.<anonymous> (/app/routes.js:7:3)', ...loaded])).toBe(
      'Object.<anonymous> (/app/routes.js:7:3)',
    );
  });
});

it.each([
  'AsyncLocalStorageContextManager.with (/app/node_modules/@opentelemetry/context-async-hooks/build/src/Manager.js:30:40)',
  'AsyncLocalStorageContextManager.with (/app/dist/bundle.js:1200:40)',
  'ContextAPI.with (/app/node_modules/@opentelemetry/api/build/src/api/context.js:60:46)',
  'Tracer.startActiveSpan (/app/dist/bundle.js:1300:20)',
  'Server.<anonymous> (/app/node_modules/@opentelemetry/instrumentation-http/build/src/http.js:500:30)',
  '__require (/app/dist/bundle.js:12:40)',
  '__webpack_require__ (/app/dist/bundle.js:12:40)',
])('%s passes the blame on', (plumbing) => {
  expect(culprit([plumbing, 'handle (/app/app.js:5:12)', ...TIMER])).toBe('handle (/app/app.js:5:12)');
});

it('stays where there is nothing but plumbing', () => {
  expect(outOfPlumbing(markLoading([frame(`patchedRequire (${RITM}:209:27)`)]))).toHaveLength(1);
});

it('leads with the place where the name says nothing', () => {
  expect(describeFrame(frame('ez (/app/chunk.js:1:20345)'))).toBe('/app/chunk.js:1:20345 (ez)');
  expect(describeFrame(frame('ez (/app/chunk.js:1:12)'))).toBe('ez (/app/chunk.js:1:12)');
});

describe('the loaders of runners', () => {
  const JEST = '/app/node_modules/jest-runtime/build/index.js';
  const JEST_REQUIRE = [
    `Runtime._execModule (${JEST}:1439:24)`,
    `Runtime._loadModule (${JEST}:1022:12)`,
    `Runtime.requireModule (${JEST}:882:12)`,
    `Runtime.requireModuleOrMock (${JEST}:1048:21)`,
  ];
  const VITEST = '/app/node_modules/vitest/dist/module-evaluator.js';
  const VITE = '/app/node_modules/vite/dist/node/module-runner.js';
  const TEST = ['/app/a.test.js:9:5', '/app/node_modules/@vitest/runner/dist/index.js:200:11'];

  it('are no culprits: who requires it is', () => {
    expect(
      culprit([`Object.<anonymous> (${TYPESCRIPT}:20:1)`, ...JEST_REQUIRE, 'Object.<anonymous> (/app/a.test.js:9:5)']),
    ).toBe('loading module "typescript/lib/typescript.js" (required in /app/a.test.js:9:5)');
    expect(culprit([...JEST_REQUIRE.slice(1), 'Object.<anonymous> (/app/a.test.js:9:5)'])).toBe(
      'loading a module (required in /app/a.test.js:9:5)',
    );
  });

  it.each([
    ['jest', ['Object.<anonymous> (/app/big.js:1:1)', ...JEST_REQUIRE, ...TEST]],
    ['jest, which compiles', ['new Script (node:vm:117:7)', `createScriptFromCode (${JEST}:1300:12)`, ...TEST]],
    ['jest, by its profile', ['Object.<anonymous> (/app/big.js:1:1)', `_execModule (${JEST}:1439:24)`, ...TEST]],
    ['vitest', ['/app/big.js:1:1', `VitestModuleEvaluator._runInlinedModule (${VITEST}:206:4)`]],
    [
      'vitest, behind an import',
      ['/app/big.js:9:1', `async VitestModuleEvaluator._runInlinedModule (${VITEST}:206:4)`],
    ],
    ['vitest, by its profile', ['/app/big.js:1:1', `_runInlinedModule (${VITEST}:206:4)`]],
    ['vite', ['parse (/app/big.js:1:1)', `ModuleRunner.directRequest (${VITE}:1262:7)`]],
    ['Node.js', ['createScanner (/app/big.js:1:1)', ...LOADER, ...REQUIRE, ...TEST]],
    [
      'Node.js, by its profile',
      ['createScanner (/app/big.js:1:1)', '_compile (node:internal/modules/cjs/loader:1956:14)'],
    ],
    [
      'Node.js and ES modules',
      ['file:///app/big.mjs:1:1', 'ModuleJob.run (node:internal/modules/esm/module_job:343:25)'],
    ],
  ])('load: %s', (_, stack) => {
    expect(isLoading(stack.map(frame))).toBe(true);
  });

  it.each([
    ['a test', TEST],
    [
      'a timer of a test that jest turns forward',
      ['tick (/app/a.test.js:9:5)', `Object.advanceTimersByTime (${JEST}:2000:3)`],
    ],
    ['a test of vitest', ['/app/a.test.js:9:5', 'runTest (/app/node_modules/vitest/dist/chunks/run.js:9:3)']],
    [
      'what awaits at the top of a module',
      ['/app/app.mjs:9:5', 'async ModuleJob.run (node:internal/modules/esm/module_job:343:25)'],
    ],
    ['a script that runs', ['evaluate (/app/template.js:9:5)', 'Script.runInThisContext (node:vm:137:12)']],
  ])('do not load: %s', (_, stack) => {
    expect(isLoading(stack.map(frame))).toBe(false);
  });
});
