// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { Profiler } from 'node:inspector';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SampledFrame } from '../../src/model.js';
import * as semconv from '../../src/semconv.js';
import { profiledSamples } from '../../src/watchdog/profile-samples.js';
import { Collector } from '../support/collector.js';
import { durationOf, expectDuration, runFixture, runScenario } from '../support/run-fixture.js';

const FIXTURE = 'start-up.cjs';
const BY_REQUIRE = ['--require', 'opentelemetry-instrumentation-event-loop/debug'];
const BY_IMPORT = ['--import', 'opentelemetry-instrumentation-event-loop/debug'];
/** Above what a busy machine adds now and then, and no hang, however busy it is. */
const THRESHOLD = { OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '150', OTEL_EVENT_LOOP_HANG_THRESHOLD_MILLIS: '0' };

/** Where a fixture blocks; in it, or in what it calls, or on the line that does. */
function place(functionName: string): string {
  const lines = readFileSync(join(import.meta.dirname, '../fixtures', FIXTURE), 'utf8').split('\n');
  const line = lines.findIndex((text) => text.includes(`// ${functionName} blocks here`)) + 1;
  return `(?:${functionName} \\(${FIXTURE}:${line}:\\d+\\)|spin \\(${FIXTURE}:\\d+:\\d+\\))`;
}

const TSC = createRequire(import.meta.url).resolve('typescript/lib/tsc.js');

/** How much of all time a profile has in the function `name` around `line`, with what that called. */
function shareOf(profile: Profiler.Profile, name: string, line: number): number {
  const samples = profiledSamples(profile, 0);
  const calls = samples.flatMap(({ stack }) => stack).filter(({ functionName }) => functionName === name);
  const start = Math.max(...calls.map(({ startLine = 0 }) => startLine).filter((startLine) => startLine <= line));
  const isIn = ({ functionName, startLine }: SampledFrame): boolean => functionName === name && startLine === start;
  const millisOf = (some: typeof samples): number => some.reduce((sum, { from, until }) => sum + until - from, 0);
  return millisOf(samples.filter(({ stack }) => stack.some(isIn))) / millisOf(samples);
}

function startUpMillis(text: string): number {
  return Number(/^start-up took (\d+\.\d) s/m.exec(text)?.[1]) * 1000;
}

describe('./debug', () => {
  it.concurrent.each([
    ['the first turn of a server', BY_REQUIRE, {}],
    ['the first turn of a server', BY_IMPORT, {}],
    ['the first turn of a server', BY_REQUIRE, { OTEL_EVENT_LOOP_ATTRIBUTION: 'on-demand' }],
    ['the first turn is all there is', BY_REQUIRE, {}],
    // Node.js tells observers of collections in an Immediate, which is no work of the program's.
    ['a garbage collection, and then a file', BY_REQUIRE, {}],
    ['a garbage collection, and then a file', BY_REQUIRE, { OTEL_EVENT_LOOP_ATTRIBUTION: 'on-demand' }],
    ['the first turn ends in process.exit', BY_REQUIRE, {}],
  ])('says once what start-up took: %s, %j, %j', async (scenario, nodeArgs, env) => {
    const { code, stdout, stderr } = await runFixture(FIXTURE, {
      nodeArgs,
      args: [scenario],
      env: { ...THRESHOLD, ...env },
    });
    expect(code).toBe(0);
    const { measured } = JSON.parse(stdout);
    // What the machine made a block afterwards has lines of its own.
    expect(stderr).toMatch(new RegExp(`^start-up took .* most of it in ${place('buildIndex')}; not counted\n`));
    expect(stderr.match(/start-up took/g)).toHaveLength(1);
    // Rounded to 100 ms; what else the program does as it starts comes on top.
    expect(startUpMillis(stderr)).toBeGreaterThan(measured.buildIndex - 100);
    expect(startUpMillis(stderr)).toBeLessThan(2 * measured.buildIndex + 500);
  });

  it('tells of a regular expression while it backtracks, and once it has', async () => {
    const { code, stdout, stderr } = await runFixture(FIXTURE, {
      nodeArgs: BY_REQUIRE,
      args: ['a regular expression in the first turn'],
      env: { ...THRESHOLD, OTEL_EVENT_LOOP_HANG_THRESHOLD_MILLIS: '500' },
    });
    expect(code).toBe(0);
    const where = place('badRegExp');
    expect(stderr).toMatch(new RegExp(`^.*event loop hangs: blocked for \\d+\\.\\d s at start-up in ${where}\n`));
    expect(stderr).toMatch(new RegExp(`^start-up took .* most of it in ${where}; not counted\n`, 'm'));
    const { measured } = JSON.parse(stdout);
    expect(startUpMillis(stderr)).toBeGreaterThan(measured.badRegExp - 100);
  });

  it('names of a whole tsc a function that has most of its time, as V8 says', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'event-loop-tsc-'));
    try {
      const source = join(folder, 'a.ts');
      await writeFile(source, 'export const texts: Promise<string[]> = Promise.all([Promise.resolve("x")]);');
      const { code, stdout, stderr } = await runFixture(FIXTURE, {
        nodeArgs: ['--cpu-prof', '--cpu-prof-dir', folder, '--cpu-prof-name', 'tsc.cpuprofile', ...BY_REQUIRE],
        args: ['a whole tsc', TSC, '--noEmit', '--ignoreConfig', '--target', 'es2022', source],
        env: THRESHOLD,
      });
      expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
      const [, name, line] =
        /^start-up took .* most of it in ([\w$.]+) \(.*_tsc\.js:(\d+):\d+\); not counted$/m.exec(stderr) ?? [];
      const profile = JSON.parse(await readFile(join(folder, 'tsc.cpuprofile'), 'utf8'));
      expect(shareOf(profile, String(name), Number(line))).toBeGreaterThan(0.5);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('sees the stack of a block in the first milliseconds of the loop', async () => {
    const { code, stdout, stderr } = await runFixture(FIXTURE, {
      nodeArgs: BY_REQUIRE,
      args: ['the first timer'],
      env: THRESHOLD,
    });
    expect(code).toBe(0);
    expect(stderr).toMatch(new RegExp(`^ {2}> ${place('firstTimer')}`, 'm'));
    const blocked = Number(/event loop blocked for (\d+) ms .*in: Timeout/.exec(stderr)?.[1]);
    expect(blocked).toBeGreaterThan(JSON.parse(stdout).measured.firstTimer - 2);
  });

  it('says nothing of a program that does nothing', async () => {
    // Where the machine is busy, even that takes a while.
    const env = { OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '1000' };
    const options = { nodeArgs: BY_REQUIRE, args: ['nothing at all'], env };
    const runs = await Promise.all(Array.from({ length: 5 }, () => runFixture(FIXTURE, options)));
    for (const { code, stdout, stderr } of runs) expect({ code, stdout, stderr }).toEqual(QUIET);
  });
});
const QUIET = { code: 0, stdout: '', stderr: '' };

it('is a log event, and no block; a span that blocks meanwhile is one', async () => {
  const result = await runScenario(FIXTURE, 'a span in the first turn');
  const [migration, ...blocks] = result.blockSpans;
  expect(blocks).toEqual([]);
  expect(migration?.parentSpanId).toBe(result.span('migration').spanId);
  expectDuration(result, durationOf(migration as never), result.measured('migration'));
  const [event, ...more] = result.output.logs.filter(({ eventName }) => eventName === semconv.EVENT_START_UP);
  expect(more).toEqual([]);
  expect(event?.severityNumber).toBe(9);
  expect(event?.body).toMatch(/^start-up took \d\.\d s, most of it in block \(harness\.cjs:\d+:\d+\); not counted$/);
  const startUp = (event?.attributes[semconv.ATTR_START_UP_DURATION] as number) * 1000;
  expectDuration(result, startUp, result.measured('index'), 150);
  expect(event?.attributes['code.file.path']).toMatch(/harness\.cjs$/);
});

describe('a hang', () => {
  const collector = new Collector();
  beforeAll(() => collector.start());
  afterAll(() => collector.close());

  it('is told while it lasts, and ends nothing: it would start for ever', async () => {
    const { code, stderr } = await runFixture(FIXTURE, {
      args: ['a hang in the first turn', 'abort'],
      env: { OTEL_TRACES_EXPORTER: 'otlp', OTEL_LOGS_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
    });
    expect(code).toBe(0);
    const where = place('buildIndex');
    const line = `opentelemetry-instrumentation-event-loop: event loop hangs: blocked for \\d+\\.\\d s at start-up in ${where}`;
    expect(stderr).toMatch(new RegExp(`^(?:${line}\n)+$`));
    const [hang] = collector.spans.filter(({ name }) => name === semconv.SPAN_HANG);
    expect(hang?.resource['service.name']).toBe('service-that-starts');
    expect(hang?.attributes['code.file.path']).toMatch(/start-up\.cjs$/);
    const [log] = collector.logs.filter(({ eventName }) => eventName === semconv.EVENT_HANG);
    expect(log?.body).toMatch(new RegExp(`^event loop hangs: blocked for .* at start-up in ${where}$`));
  });
});
