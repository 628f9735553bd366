// SPDX-License-Identifier: Apache-2.0
// Hooks that come in the midst of running code break nothing of it: twice in each scenario here, fifty times in
// `npm run test:on-demand`, which also knows the setups with other vendors' tracers.
import { beforeAll, describe, expect, it } from 'vitest';
import { NODE_MAJOR, runFixture } from '../support/run-fixture.js';

const TIMES = Number(process.env.TIMES ?? 2);
/** A scenario takes less each time, on a machine with as many busy processes as cores as well. Nothing here is measured. */
const MOST_MILLIS = 1_500;
const SCENARIOS = 60;
const TIMEOUT_MILLIS = TIMES * SCENARIOS * MOST_MILLIS;

interface Result {
  readonly switchedOn: number;
  readonly checks: number;
  readonly wrong: string[];
  readonly blamed: string[][];
  readonly reported: string[];
}
interface Output {
  readonly results: Record<string, Result>;
  readonly diagLines: string[];
}

async function run(
  setup: string,
  scenarios: readonly string[] = [],
  nodeArgs: readonly string[] = [],
): Promise<Output> {
  const { code, signal, stdout, stderr } = await runFixture('on-demand.cjs', {
    args: [setup, ...scenarios],
    nodeArgs: ['--expose-gc', ...nodeArgs],
    env: { TIMES: `${TIMES}` },
    timeoutMillis: TIMEOUT_MILLIS,
  });
  expect({ code, signal }, stderr).toEqual({ code: 0, signal: null });
  // Others may have printed something before.
  return JSON.parse(stdout.trim().split('\n').at(-1) as string);
}

/** So near to the end of the stack, hooks need not come: whoever has to be blamed was not seen then. */
const NEAR_THE_END = /^\d{1,3} frames below the end$/;
/** Of no span's doing. */
const NOBODYS = ['finaliser'];
/**
 * Others' hooks run ahead of the callback that they belong to, where its context is not there yet. And one span of many can
 * have stood without a core for longer than all others ran.
 */
const WHOEVER = ['in the hook of another', 'startActiveSpan storm'];

function expectUnharmed(name: string, result: Result | undefined): void {
  expect(result, name).toBeDefined();
  const { switchedOn, checks, wrong, blamed, reported } = result as Result;
  expect(wrong).toEqual([]);
  expect(checks).toBeGreaterThanOrEqual(12 * TIMES);
  expect(blamed).toHaveLength(TIMES);
  for (const [i, names] of blamed.entries()) {
    // Spans that it starts itself are called after it.
    const others = names.filter((other) => !other.startsWith(`${name} ${i}`));
    expect(others, `${name} ${i}`).toEqual([]);
  }
  if (NEAR_THE_END.test(name)) return;
  expect(switchedOn).toBe(TIMES);
  if (WHOEVER.includes(name)) return;
  expect(blamed, reported.join('\n')).toEqual(
    Array.from({ length: TIMES }, (_, i) => (NOBODYS.includes(name) ? [] : [`${name} ${i}`])),
  );
}

const EVERYWHERE = [
  'busy loop',
  'regular expression',
  'sort comparator',
  'comparator that holds',
  'JSON.parse reviver',
  'native JSON.parse',
  'string replacer',
  'getter',
  'Proxy trap',
  'Proxy storm',
  'generator',
  'async generator',
  'microtask storm',
  'microtask storm of many',
  'queueMicrotask storm',
  'nextTick storm',
  'nextTick storm of many',
  'ticks that are enqueued',
  'promise reaction',
  'promise executor',
  'thenable',
  'thrown behind an await',
  'unhandled until later',
  'AsyncLocalStorage.run',
  'AsyncLocalStorage.run storm',
  'AsyncLocalStorage.exit',
  'AsyncLocalStorage.bind',
  'context.with',
  'context.with storm',
  'startActiveSpan storm',
  'runInAsyncScope storm',
  'in runInAsyncScope',
  'emitter storm',
  'timers that are set',
  'in a timer',
  'in an immediate, others behind it',
  'deep on the stack',
  '256 KiB below the end',
  '600 frames below the end',
  '300 frames below the end',
  '150 frames below the end',
  '80 frames below the end',
  '40 frames below the end',
  '20 frames below the end',
  '8 frames below the end',
  'overflow storm',
  'finaliser',
  'module evaluation',
  'evaluation of an ES module',
];
/** Where something else is in the process as well: one of each kind. */
const FEW = [
  'busy loop',
  'microtask storm of many',
  'nextTick storm of many',
  'promise reaction',
  'thrown behind an await',
  'AsyncLocalStorage.run',
  'context.with',
  'startActiveSpan storm',
  'in runInAsyncScope',
  'in a timer',
  'in an immediate, others behind it',
  '256 KiB below the end',
  'overflow storm',
  'module evaluation',
];

const permissionFlag = NODE_MAJOR === 20 ? '--experimental-permission' : '--permission';
const MAY_READ = [permissionFlag, '--allow-fs-read=*', '--allow-addons', '--no-warnings'];
const setups = [
  { title: 'alone', setup: 'alone', scenarios: EVERYWHERE },
  { title: 'with hooks of others', setup: 'other hooks', scenarios: [...FEW, 'in the hook of another'] },
  { title: 'with a context manager of its own', setup: 'a context manager of its own', scenarios: FEW },
  // Before that, nobody may look from outside; see safety.test.ts.
  ...(NODE_MAJOR >= 24
    ? [
        {
          title: 'under --permission',
          setup: 'alone',
          scenarios: FEW,
          nodeArgs: [...MAY_READ, '--allow-worker', '--allow-inspector'],
        },
      ]
    : []),
  // Where test/system/on-demand.mjs has installed them.
  ...(process.env.TEST_VENDORS ?? '')
    .split(',')
    .filter((vendor) => vendor !== '')
    .map((vendor) => ({ title: `beside ${vendor}`, setup: vendor, scenarios: FEW })),
];

describe.concurrent.each(setups)(
  'hooks that are switched on $title break nothing in',
  ({ setup, scenarios, nodeArgs }) => {
    let output: Output;
    beforeAll(async () => {
      output = await run(setup, setup === 'alone' && nodeArgs === undefined ? [] : scenarios, nodeArgs);
    }, TIMEOUT_MILLIS);

    it.each(scenarios)('%s', (name) => expectUnharmed(name, output.results[name]));

    it('the whole process, and nothing is complained about', () => {
      expect(Object.keys(output.results).sort()).toEqual([...scenarios].sort());
      expect(output.diagLines).toEqual([]);
    });
  },
);

it('goes on without hooks where --permission forbids to look, and says so once', async () => {
  const { code, signal, stdout } = await runFixture('safety.cjs', {
    args: ['block'],
    nodeArgs: [...MAY_READ, '--allow-worker'],
    env: { OTEL_EVENT_LOOP_ATTRIBUTION: 'on-demand' },
  });
  expect({ code, signal }).toEqual({ code: 0, signal: null });
  const lines: string[] = JSON.parse(stdout).diagLines.filter((line: string) => line.includes('event-loop'));
  expect(lines.join('\n')).toMatch(/--permission forbids the inspector/);
  expect(lines).toEqual([...new Set(lines)]);
});
