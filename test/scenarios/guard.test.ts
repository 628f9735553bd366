// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FIXTURES, type Run, type RunOptions, runFixture } from '../support/run-fixture.js';

const DEBUG = ['--import', 'opentelemetry-instrumentation-event-loop/debug'];
const FAIL_OVER = 'OTEL_EVENT_LOOP_DEBUG_FAIL_OVER_MILLIS';
const NO_HANGS = { OTEL_EVENT_LOOP_HANG_THRESHOLD_MILLIS: '0' };
/** Where the thread was without a core for some of it. */
const COUNTED = '(?: \\(\\d+ ms of it count\\))?';
const folder = mkdtempSync(join(tmpdir(), 'event-loop-guard-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Output {
  readonly measured: Record<string, number>;
  readonly withheld: number;
  readonly ended?: [number | null, string | null];
  readonly pid?: number;
  readonly said?: Record<string, string>;
}

async function guard(scenario: string, options: RunOptions = {}): Promise<Run & { readonly output: Output }> {
  const env = { [FAIL_OVER]: '200', ...NO_HANGS, ...options.env };
  const run = await runFixture('guard.cjs', { nodeArgs: DEBUG, ...options, env, args: [scenario] });
  return { ...run, output: JSON.parse(run.stdout || '{}') };
}

/** What is said of code that the fixture names; whatever else was too long was the machine's doing. */
function failures(stderr: string): string[] {
  const lines = stderr.match(/^opentelemetry-instrumentation-event-loop: failed, over 200 ms: .*$/gm) ?? [];
  return lines.filter((line) => line.includes('guard.cjs:'));
}

function millisOf(text: string | undefined): number {
  return Number(/blocked for (\d+) ms/.exec(text ?? '')?.[1]);
}

describe('a program with a limit', () => {
  it('names each block that is over it, worst first, and fails', async () => {
    const { code, stderr, output } = await guard('two blocks');
    const named = failures(stderr);
    const [longer, shorter] = named.map(millisOf);
    expect(named.map((line) => / in (\w+) \(guard\.cjs:\d+:\d+\)/.exec(line)?.[1])).toEqual(['busyLoop', 'busyLoop']);
    expect(longer).toBeGreaterThanOrEqual(Math.floor(output.measured.longer as number));
    expect(shorter).toBeGreaterThanOrEqual(Math.floor(output.measured.shorter as number));
    const [worst, second] = named.map((line) => Number(/\((\d+) ms of it count\)/.exec(line)?.[1] ?? millisOf(line)));
    expect(worst).toBeGreaterThan(second as number);
    expect(code).toBe(1);
  });

  it('tells of a child that was killed right behind its block', async () => {
    const { code, stderr, output } = await guard('a child that is killed', {
      nodeArgs: [],
      env: { NODE_OPTIONS: DEBUG.join(' ') },
    });
    expect(output.ended).toEqual([null, 'SIGTERM']);
    const [named, ...more] = failures(stderr);
    expect(more).toEqual([]);
    expect(named).toMatch(
      new RegExp(` in busyLoop \\(guard\\.cjs:\\d+:\\d+\\)${COUNTED} \\[process ${output.pid}\\]$`),
    );
    expect(code).toBe(1);
  });

  it('tells of a thread, each time with its place', async () => {
    const { code, stderr } = await guard('a thread');
    const named = failures(stderr);
    expect(named).toHaveLength(3);
    const line = new RegExp(` in busyLoop \\(guard\\.cjs:\\d+:\\d+\\)${COUNTED} \\[thread \\d+ of process \\d+\\]$`);
    for (const each of named) expect(each).toMatch(line);
    expect(code).toBe(1);
  });

  it('does not take loading for blocking, unless it is told to', async () => {
    const { code, stderr } = await guard('loads lazily', { env: { [FAIL_OVER]: '300' } });
    expect(stderr).toMatch(
      /^ +\d+ ms +1 +\d+ ms {2}loading module ".*guard-module.cjs" \(required in guard.cjs:\d+:\d+\): \w+ \(guard/m,
    );
    expect(stderr).not.toContain('failed, over');
    expect(code).toBe(0);
    const counted = await guard('loads lazily', { env: { OTEL_EVENT_LOOP_DEBUG_COUNT_LOADING: 'true' } });
    expect(failures(counted.stderr)).toHaveLength(1);
    expect(failures(counted.stderr)[0]).toMatch(/ while loading module ".*guard-module.cjs" \(required in guard.cjs/);
    expect(counted.code).toBe(1);
  });

  it('leaves package managers alone', async () => {
    const npm = join(folder, 'npm-cli.js');
    writeFileSync(join(folder, 'package.json'), '{}');
    copyFileSync(join(FIXTURES, 'guard.cjs'), npm);
    copyFileSync(join(FIXTURES, 'internals.cjs'), join(folder, 'internals.cjs'));
    const { code, stderr } = await runFixture(relative(FIXTURES, npm), {
      nodeArgs: DEBUG,
      args: ['npm'],
      env: { [FAIL_OVER]: '100', ...NO_HANGS },
    });
    expect([code, stderr]).toEqual([0, '']);
  });
});

describe('tests under guard', () => {
  const WITHOUT_DEBUG = { nodeArgs: [], env: {} };
  /** Those that failed, with the lengths that they told. */
  function failed({ said = {} }: Output): string[] {
    return Object.entries(said).flatMap(([name, text]) => (text === '' ? [] : [name]));
  }

  it('fail for what they do between their beginning and their end, and name it', async () => {
    const { code, stderr, output } = await guard('one after the other', WITHOUT_DEBUG);
    expect([code, stderr]).toEqual([0, '']);
    expect(failed(output)).toEqual(['sync', 'later', 'no longer allowed', 'whole > part']);
    for (const [name, label = name] of [
      ['sync'],
      ['later'],
      ['no longer allowed'],
      ['whole > part', 'part'],
    ] as const) {
      const text = output.said?.[name as string];
      expect(text).toMatch(
        /^EventLoopBlocked: event loop blocked for \d+ ms in busyLoop \(guard\.cjs:\d+:\d+\).*; allowed are 200 ms\n {4}at busyLoop \(/,
      );
      expect(millisOf(text)).toBeGreaterThanOrEqual(Math.floor(output.measured[label as string] as number));
    }
  });

  it('answer each for itself where they run at the same time', async () => {
    const { code, stderr, output } = await guard('at the same time', WITHOUT_DEBUG);
    expect([code, stderr]).toEqual([0, '']);
    expect(failed(output)).toEqual(['sync', 'later']);
  });

  it('are guarded in the contexts of runners', async () => {
    const { code, stderr } = await guard('in a context', WITHOUT_DEBUG);
    expect(stderr).toMatch(/^EventLoopBlocked: event loop blocked for \d+ ms in busyLoop \(guard\.cjs:\d+:\d+\)/);
    expect(code).toBe(0);
  });
});
