// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { runFixture } from '../support/run-fixture.js';

const NAME = 'opentelemetry-instrumentation-event-loop';
const REGISTER = ['--require', './sdk-register.cjs', '--import', `${NAME}/register`];
const AHEAD = ['--import', `${NAME}/register`, '--require', './sdk-register.cjs'];

const STARTS = 'blocks from 50 ms, attribution exact, watchdog on, hang reports from 2000 ms to ';
const TWICE = 'another EventLoopInstrumentation already watches this thread; this one stands aside';
const DISABLED = 'OTEL_NODE_DISABLED_INSTRUMENTATIONS';
const ENABLED = 'OTEL_NODE_ENABLED_INSTRUMENTATIONS';
const OTLP = {
  OTEL_TRACES_EXPORTER: 'otlp, console',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'http://me:secret@127.0.0.1:9/otel/',
};

/** What it says of itself, and whether it does anything, with OTEL_LOG_LEVEL=info. */
async function run(nodeArgs: readonly string[], env: NodeJS.ProcessEnv) {
  const { stdout, stderr, code } = await runFixture('switches.cjs', {
    nodeArgs,
    env: { OTEL_LOG_LEVEL: 'info', ...env },
  });
  expect(code).toBe(0);
  const lines = stdout.trim().split('\n');
  const result = JSON.parse(lines.pop() as string);
  // Warnings go to stderr. That it took long to start is the machine's.
  const said = [...lines, ...stderr.split('\n')]
    .filter((line) => line.startsWith(NAME) && !line.includes('start-up'))
    .map((line) => line.slice(NAME.length + 1));
  return { ...result, said };
}

const ON = { isWatching: true, hasFound: true };
const OFF = { isWatching: false, hasFound: false };

describe.concurrent('it says what it does, and heeds the switches of OpenTelemetry', () => {
  it.each<[string, readonly string[], NodeJS.ProcessEnv, object]>([
    ['behind an SDK', REGISTER, {}, { ...ON, said: [`${STARTS}stderr`] }],
    ['ahead of an SDK', AHEAD, {}, { ...ON, said: [`${STARTS}stderr`] }],
    [
      'in code',
      [],
      { CODE: '1', ...OTLP },
      { ...ON, said: [`${STARTS}stderr, http://127.0.0.1:9/otel/v1/traces (traces)`] },
    ],
    ['twice in code', [], { CODE: '2' }, { ...ON, said: [`${STARTS}stderr`, TWICE] }],
    [
      'OTEL_SDK_DISABLED, in code',
      [],
      { CODE: '1', OTEL_SDK_DISABLED: 'true' },
      { ...OFF, said: ['stands aside: OTEL_SDK_DISABLED'] },
    ],
    [
      'OTEL_SDK_DISABLED, by ./register',
      REGISTER,
      { OTEL_SDK_DISABLED: ' True ' },
      { ...OFF, said: ['stands aside: OTEL_SDK_DISABLED'] },
    ],
    [
      'a list of what is not wanted',
      AHEAD,
      { [DISABLED]: 'http, event-loop' },
      { ...OFF, said: [`stands aside: ${DISABLED}`] },
    ],
    ['a list of other things', REGISTER, { [ENABLED]: 'http' }, { ...OFF, said: [`stands aside: ${ENABLED}`] }],
    [
      'OTEL_EVENT_LOOP_ENABLED, by ./register',
      REGISTER,
      { OTEL_EVENT_LOOP_ENABLED: 'false' },
      { ...OFF, said: ['stands aside: it is off by its options'] },
    ],
    [
      'OTEL_EVENT_LOOP_ENABLED, in code',
      [],
      { CODE: '1', OTEL_EVENT_LOOP_ENABLED: 'FALSE' },
      { ...OFF, said: ['stands aside: it is off by its options'] },
    ],
  ])('%s', async (_, nodeArgs, env, expected) => {
    expect(await run(nodeArgs, env)).toEqual(expected);
  });
});

it('leaves ./debug alone, which needs no SDK, but for its own switch', async () => {
  const nodeArgs = ['--import', `${NAME}/debug`];
  const disabled = await runFixture('switches.cjs', {
    nodeArgs,
    env: { OTEL_SDK_DISABLED: 'true', [ENABLED]: 'http' },
  });
  expect(disabled.stderr).toMatch(/^event loop blocked for \d+ ms/m);
  const off = await runFixture('switches.cjs', { nodeArgs, env: { OTEL_EVENT_LOOP_ENABLED: 'false' } });
  expect(off.stderr).toBe(`${NAME}: is off: OTEL_EVENT_LOOP_ENABLED\n`);
});
