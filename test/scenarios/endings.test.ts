// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { runFixture, runScenario, ScenarioResult } from '../support/run-fixture.js';

// How soon it ends is a matter of `npm run bench:hang`.
describe.concurrent('the program ends as it would without the watchdog', () => {
  const exits = { 'process.exit': { code: 7 }, throw: { code: 1 }, SIGTERM: { signal: 'SIGTERM' }, end: { code: 0 } };
  const cases = ['idle', 'blocked', 'hanging', 'looked at'].flatMap((moment) =>
    Object.entries(exits).map(([end, exit]) => [end, moment, exit] as const),
  );
  it.each(cases)('%s while %s', async (end, moment, exit) => {
    const { stderr, code, signal } = await runFixture('safety.cjs', {
      args: [`${end} while ${moment}`],
      onSpawn: (child) => {
        if (end === 'SIGTERM') child.stdout?.once('data', () => child.kill('SIGTERM'));
      },
    });
    expect({ code, signal }).toMatchObject(exit);
    // A hang is reported, and an uncaught error by Node.js; there is no other line, and no "Waiting for the debugger".
    const unexpected = stderr
      .split('\n')
      .filter((line) => !line.startsWith('opentelemetry-instrumentation-event-loop: event loop hangs'));
    expect(unexpected.join('\n')).toMatch(end === 'throw' ? /^\/.*\n[\s\S]*Error: thrown on purpose/ : /^$/);
    expect(stderr).not.toMatch('debugger');
  });
});

it('names each of two hundred blocks, and keeps count', async () => {
  const result = await runScenario('safety.cjs', 'two hundred looks');
  // Now and then two timers are due in one iteration.
  expect(result.blockSpans.length).toBeGreaterThan(160);
  expect(result.blamedNames.length).toBe(result.appSpans.length);
  expect(result.output.sessions).toBeGreaterThanOrEqual(196);
});

describe.concurrent('a worker that ends at any step of its work is not noticed', () => {
  it.each(['throw', 'exit', 'reject'])('by %s', async (kind) => {
    for (const step of [1, 23, 45, 56]) {
      const { code, stdout, stderr } = await runFixture('safety.cjs', {
        args: ['fault'],
        env: { FAULT: `${step} ${kind}` },
      });
      expect({ step, code }).toEqual({ step, code: 0 });
      expect(stderr.replace(/^opentelemetry-instrumentation-event-loop: event loop hangs.*\n/gm, '')).toBe('');
      const result = new ScenarioResult(JSON.parse(stdout));
      expect(result.blamedNames, stdout).toEqual(['100', '300']);
      expect(result.output.diagLines).toEqual([]);
    }
  });
});
