// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { NODE_MAJOR, type RunOptions, runFixture, runScenario, ScenarioResult } from '../support/run-fixture.js';

const run = (name: string, options: RunOptions = {}): Promise<ScenarioResult> =>
  runScenario('safety.cjs', name, options);

/** After so long without a beat the watchdog looks. */
const FIRST_LOOK_MILLIS = 45;

const functionOf = (result: ScenarioResult): unknown => result.blockSpans[0]?.attributes['code.function.name'];

it('opens no inspector session while the loop is healthy', async () => {
  const result = await run('healthy loop');
  expect(result.blockSpans).toEqual([]);
  // A thread that had no core for so long was as late as a blocked one.
  expect(result.output.sessions).toBeLessThanOrEqual(result.heldUpMillis / FIRST_LOOK_MILLIS);
});

describe('stands aside', () => {
  it('where the process was started with --inspect', async () => {
    const { code, stdout, stderr } = await runFixture('safety.cjs', {
      args: ['block'],
      nodeArgs: ['--inspect=127.0.0.1:0'],
    });
    expect(code).toBe(0);
    const result = new ScenarioResult(JSON.parse(stdout));
    expect(result.blamedNames).toEqual(['blocks']);
    expect(functionOf(result)).toBeUndefined();
    expect(result.output.sessions).toBe(0);
    expect(stderr).toMatch(/^Debugger listening on .*\nFor help, see: .*\n$/);
  });

  it('where a debugger is attached later', async () => {
    const { code, stdout, stderr } = await runFixture('safety.cjs', { args: ['inspector opened later'] });
    expect(code).toBe(0);
    const result = new ScenarioResult(JSON.parse(stdout));
    expect(result.blamedNames).toEqual(['blocks']);
    expect(result.output.sessions).toBe(0);
    expect(stderr).not.toMatch('event loop hangs');
  });

  const permissionFlag = NODE_MAJOR === 20 ? '--experimental-permission' : '--permission';
  const hasAllowInspector = NODE_MAJOR >= 24;
  const combinations = [
    { flags: [], looks: false, line: /the watchdog stands aside: --permission forbids workers/ },
    { flags: ['--allow-worker'], looks: false, line: /no stacks: --permission forbids the inspector/ },
    ...(hasAllowInspector
      ? [
          {
            flags: ['--allow-inspector'],
            looks: false,
            line: /the watchdog stands aside: --permission forbids workers/,
          },
          { flags: ['--allow-worker', '--allow-inspector'], looks: true, line: undefined },
        ]
      : []),
  ];
  it.each(combinations)('under the permission model with $flags', async ({ flags, looks, line }) => {
    const { code, signal, stdout } = await runFixture('safety.cjs', {
      args: [looks ? 'seen block' : 'block'],
      nodeArgs: [permissionFlag, '--allow-fs-read=*', '--allow-addons', '--no-warnings', ...flags],
    });
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    const result = new ScenarioResult(JSON.parse(stdout));
    expect(result.blamedNames).toEqual(['blocks']);
    expect(functionOf(result)).toBe(looks ? 'block' : undefined);
    expect(result.output.diagLines.filter((text) => text.includes('event-loop'))).toHaveLength(line ? 1 : 0);
    if (line) expect(result.output.diagLines.join()).toMatch(line);
  });
});

describe('sees the stack', () => {
  it.each([
    ['with --disallow-code-generation-from-strings', 'seen block', ['--disallow-code-generation-from-strings']],
    ['where the setters of Error throw, and puts them back', 'setters that throw', []],
  ])('%s', async (_, name, nodeArgs) => {
    const result = await run(name, { nodeArgs });
    expect(result.blamedNames).toEqual(['blocks']);
    expect(functionOf(result)).toBe('block');
    expect(result.output.diagLines).toEqual([]);
  });
});

describe('goes without the stack, and reports all else,', () => {
  it.each([
    ['where Error is frozen', 'frozen Error', 0],
    ['in another realm than the inspector’s, and says so once', 'another realm', 1],
  ])('%s', async (_, name, lines) => {
    const result = await run(name);
    expect(result.blamedNames).toEqual(['blocks']);
    expect(functionOf(result)).toBeUndefined();
    expect(result.output.diagLines).toHaveLength(lines);
  });

  it('in a worker thread, from which a session would reach the main thread', async () => {
    const result = await run('in a worker thread');
    expect(result.blamedNames).toEqual(['blocks']);
    expect(functionOf(result)).toBeUndefined();
    expect(result.output.look).toBe('undefined');
    expect(result.output.diagLines).toEqual([]);
  });
});

// A URL that was parsed meanwhile had no port any more: pg went to its default one.
it.each(['exact', 'on-demand'])(
  'looks without a trace in what Node.js hands over within its calls (%s)',
  async (attribution) => {
    const result = await run('beside what Node.js keeps', {
      nodeArgs: ['--expose-internals', '--no-warnings'],
      env: { OTEL_EVENT_LOOP_ATTRIBUTION: attribution },
    });
    const { changed, watched, sessions } = result.output;
    expect(watched).toContain('url.urlComponents');
    expect(changed).toEqual([]);
    expect(sessions).toBeGreaterThanOrEqual(3);
    expect(result.blamedNames).toEqual(['blocks']);
  },
);

it('reaches the application with no error of a look near the end of the stack', async () => {
  const result = await run('near the end of the stack');
  expect(result.output.overflows).toBeGreaterThan(0);
  expect(result.blamedNames).toEqual(['blocks']);
});

it('looks again once the stack has room for it', async () => {
  const result = await run('with a full stack', { nodeArgs: ['--no-opt', '--no-maglev', '--no-sparkplug'] });
  const { inDepth, diagLines } = result.output;
  expect(inDepth).toBeGreaterThanOrEqual(5);
  expect(result.blamedNames).toEqual(['deep', 'blocks']);
  const blockSpan = result.blockSpans.find(({ parentSpanId }) => parentSpanId === result.span('blocks').spanId);
  expect(blockSpan?.attributes['code.function.name']).toBe('block');
  expect(diagLines).toEqual([]);
});

it('lives without globals that the application has taken away', async () => {
  const result = await run('globals taken away');
  expect(result.blamedNames).toEqual(['blocks']);
});

it.each([
  '--enable-sharedarraybuffer-per-context',
  // Gone since.
  ...(NODE_MAJOR === 20 ? ['--no-harmony-atomics'] : []),
])('stands aside where V8 keeps shared memory from programs: %s', async (flag) => {
  const result = await run('block', { nodeArgs: [flag] });
  expect(result.blamedNames).toEqual(['blocks']);
  const lines = result.output.diagLines;
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch('the watchdog stands aside: there is no shared memory');
});
