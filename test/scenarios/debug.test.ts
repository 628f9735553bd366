// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transform } from 'esbuild';
import { afterAll, describe, expect, it } from 'vitest';
import { type Run, type RunOptions, runFixture } from '../support/run-fixture.js';
import { Service, waitFor } from '../support/service.js';

const DEBUG = 'opentelemetry-instrumentation-event-loop/debug';
const BY_IMPORT = ['--import', DEBUG];
const FAIL_OVER = 'OTEL_EVENT_LOOP_DEBUG_FAIL_OVER_MILLIS';
const folder = mkdtempSync(join(tmpdir(), 'event-loop-debug-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Where a fixture blocks, as it is printed: by its last column, the line can be interrupted at several. */
function place(file: string, functionName: string): RegExp {
  const lines = readFileSync(join(import.meta.dirname, '../fixtures', file), 'utf8').split('\n');
  const line = lines.findIndex((text) => text.includes(`// ${functionName} blocks here`)) + 1;
  return new RegExp(`${functionName} \\(${file.replace('.', '\\.')}:${line}:\\d+\\)`);
}
const BUSY_LOOP = place('debug.cjs', 'busyLoop');

/** Above what a busy machine adds now and then. */
const THRESHOLD = { OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '150' };
/** Above what it can add. */
const NEVER = { OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '60000' };

async function debug(scenario: string, options: RunOptions = {}): Promise<Run & { output: Record<string, never> }> {
  const env = { ...THRESHOLD, ...options.env };
  const run = await runFixture('debug.cjs', { nodeArgs: BY_IMPORT, ...options, env, args: [scenario] });
  // Whatever is printed goes to stderr: stdout is the application's own.
  return { ...run, output: JSON.parse(run.stdout) };
}

/** Of the blocks that the fixtures make, whose functions are seen in them: a busy machine makes others. */
function headlines(stderr: string): string[] {
  const paragraphs = stderr
    .split(/^(?=event loop blocked )/m)
    .filter((text) => text.startsWith('event loop blocked for'));
  return paragraphs
    .filter((text) => /(?:busyLoop|buildReport) \(/.test(text))
    .map((text) => text.split('\n')[0] as string);
}

function millisOf(headline: string | undefined): number {
  return Number(/blocked for (\d+) ms/.exec(headline ?? '')?.[1]);
}

describe('an express application that nobody has touched', () => {
  it.each([
    ['--import', 'import'],
    ['--require', 'require'],
  ])('is told what blocks it, loaded by %s, and its run fails', async (flag) => {
    const app = await Service.start('express-app.cjs', {
      nodeArgs: [flag, DEBUG],
      env: { ...THRESHOLD, [FAIL_OVER]: '150' },
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { millis } = (await (await fetch(app.url('/report'))).json()) as { millis: number };
    expect(await (await fetch(app.url('/healthy'))).text()).toBe('ok');
    await fetch(app.url('/exit'));
    const { code, stderr } = await app.ended;
    const [headline, ...more] = headlines(stderr);
    expect(more).toEqual([]);
    expect(headline).toMatch(/^event loop blocked for \d+ ms \((?:cause: .*, )?in: HTTPINCOMINGMESSAGE\)$/);
    expect(millisOf(headline)).toBeGreaterThanOrEqual(Math.floor(millis));
    const where = place('express-app.cjs', 'buildReport').source;
    expect(stderr).toMatch(new RegExp(`^ {2}> ${where}$`, 'm'));
    expect(stderr).toMatch(/^ {4}<anonymous> \(express-app\.cjs:\d+:\d+\)$/m);
    expect(stderr).toMatch(/^event loop blocked (?:once|\d times), \d+ ms in all$/m);
    expect(stderr).toMatch(new RegExp(`^ +\\d+ ms +1 +\\d+ ms {2}${where}$`, 'm'));
    expect(stderr).toMatch(new RegExp(`: failed, over 150 ms: .* in ${where}(?: \\(\\d+ ms of it count\\))?\n$`));
    expect(code).toBe(1);
  });
});

it('names the line in the source of what a loader compiles, with --enable-source-maps', async () => {
  const source = `// What nothing is left of.
interface Nothing {}

export function spin(millis: number): void {
  const until: number = performance.now() + millis;
  while (performance.now() < until);
}
`;
  const PROGRAM_FILE = join(folder, 'program.flavour');
  writeFileSync(PROGRAM_FILE, source);
  const { code: PROGRAM_CODE } = await transform(source, {
    loader: 'ts',
    format: 'cjs',
    sourcemap: 'inline',
    sourcefile: PROGRAM_FILE,
    minifyWhitespace: true,
  });
  const nodeArgs = ['--enable-source-maps', ...BY_IMPORT];
  const { stderr } = await debug('compiled by a loader', { nodeArgs, env: { PROGRAM_FILE, PROGRAM_CODE } });
  expect(stderr).toMatch(/^ {2}> spin \(.*program\.flavour:6:\d+\)$/m);
});

describe('the async resource is named', () => {
  it.each([
    ['timeout', 'Timeout'],
    ['immediate', 'Immediate'],
    ['promise job', 'promise job'],
  ])('in a block in the scenario %s: %s', async (scenario, name) => {
    const { stderr, code, output } = await debug(scenario);
    const [measured] = output.measured as unknown as number[];
    const withheld = output.withheld as unknown as number;
    const [headline, ...more] = headlines(stderr);
    expect(more).toEqual([]);
    expect(headline).toContain(`in: ${name})`);
    expect(millisOf(headline)).toBeGreaterThanOrEqual(Math.floor(measured as number));
    expect(millisOf(headline)).toBeLessThan((measured as number) + 30 + withheld);
    expect(stderr).toMatch(BUSY_LOOP);
    expect(code).toBe(0);
  });
});

describe.concurrent('with nothing to say', () => {
  it('is quiet', async () => {
    const { stderr, code } = await debug('quiet', { env: { ...NEVER, [FAIL_OVER]: '60000' } });
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });

  it('leaves worker threads alone', async () => {
    const { stderr, code } = await debug('worker thread', {
      env: { ...NEVER, [FAIL_OVER]: '60000' },
    });
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });
});

describe.concurrent('the guard', () => {
  it.each([
    ['timeout', 1],
    ['process.exit(0)', 1],
    ['process.exit(3)', 3],
    ['an exit listener sets 0', 1],
    ['an exit listener exits with 0', 1],
    ['throw', 1],
  ])('fails a process that ends by %s, with %i', async (scenario, expected) => {
    const { stderr, code } = await debug(scenario, { env: { [FAIL_OVER]: '150' } });
    expect(stderr).toMatch(new RegExp(`: failed, over 150 ms: event loop blocked for .* in ${BUSY_LOOP.source}`));
    expect(stderr).toMatch(/^event loop blocked (?:once|\d times), /m);
    expect(code).toBe(expected);
    if (scenario === 'throw') expect(stderr).toContain('the own error of the application');
  });

  it('has printed the block by the time a signal ends the process', async () => {
    const { stderr, code, signal } = await debug('SIGTERM', { env: { [FAIL_OVER]: '150' } });
    expect(headlines(stderr).length).toBe(1);
    expect([code, signal]).toEqual([null, 'SIGTERM']);
  });

  it('lets pass what is no longer than allowed, and finds what is below the threshold', async () => {
    const passed = await debug('timeout', { env: { [FAIL_OVER]: '5000' } });
    expect([passed.code, headlines(passed.stderr).length]).toEqual([0, 1]);
    const failed = await debug('timeout', {
      env: { [FAIL_OVER]: '100', OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '3000' },
    });
    expect([failed.code, headlines(failed.stderr).length]).toEqual([1, 1]);
  });

  it('costs one line where its limit is none', async () => {
    const { stderr, code } = await debug('quiet', { env: { ...NEVER, [FAIL_OVER]: 'soon' } });
    expect(stderr).toBe(
      `opentelemetry-instrumentation-event-loop: ${FAIL_OVER} must be a number from 1 to 3600000, not "soon"; it is ignored\n`,
    );
    expect(code).toBe(0);
  });
});

/** Two spans, and behind each its block. */
function expectInTrace(names: readonly string[] = []): void {
  const guilty = names.flatMap((name, i) => (name === 'guilty' ? [i] : []));
  expect(guilty).toHaveLength(2);
  expect(guilty.map((i) => names[i + 1])).toEqual(['event loop blocked', 'event loop blocked']);
}

describe('with an SDK', () => {
  it('names the span, and adds the block to its trace', async () => {
    const { stderr, output } = await debug('sdk');
    expect(headlines(stderr)).toEqual([
      expect.stringMatching(/^event loop blocked for \d+ ms by "guilty" \(/),
      expect.stringMatching(/^event loop blocked for \d+ ms by "guilty" \(/),
    ]);
    expectInTrace(output.names);
    expect(stderr).toMatch(/^event loop blocked \d times, /m);
  });

  it('leaves the telemetry to an instrumentation of the application, in another copy of the package', async () => {
    const { stderr, output } = await debug('own instrumentation');
    expect(headlines(stderr).length).toBe(2);
    expect(stderr).toContain('in: promise job)');
    expectInTrace(output.names);
    const thresholds = output.hooked as unknown as number[];
    expect(thresholds.length).toBeGreaterThanOrEqual(2);
    expect(new Set(thresholds)).toEqual(new Set([100]));
  });
});

describe.concurrent('Ctrl-C', () => {
  const interrupted = (scenario: string) =>
    debug(scenario, {
      onSpawn: (child) => child.stdout?.once('data', () => setTimeout(() => child.kill('SIGINT'), 200)),
    });

  it('ends a service behind its summary', async () => {
    const trace = join(folder, 'interrupted.{pid}.json');
    const app = await Service.start('express-app.cjs', {
      nodeArgs: BY_IMPORT,
      env: { ...THRESHOLD, OTEL_EVENT_LOOP_DEBUG_TRACE_FILE: trace },
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await fetch(app.url('/report'));
    await waitFor(() => headlines(app.stderr)[0]);
    app.child.kill('SIGINT');
    const { stderr, code, signal } = await app.ended;
    expect([code, signal]).toEqual([null, 'SIGINT']);
    expect(headlines(stderr).length).toBe(1);
    expect(stderr).toMatch(/^event loop blocked (?:once|\d times), \d+ ms in all$/m);
    expect(readTrace(`interrupted.${app.child.pid}.json`).some((event) => event.name === 'block')).toBe(true);
  });

  it('ends a process in an endless loop', async () => {
    const { code, signal } = await debug('an endless loop', {
      onSpawn: (child) => {
        child.stdout?.once('data', () => {
          // More than once, as one that comes ahead of the first look is lost.
          const press = setInterval(() => child.kill('SIGINT'), 200);
          child.once('exit', () => clearInterval(press));
        });
      },
    });
    expect([code, signal]).toEqual([null, 'SIGINT']);
  });

  it('is left to the application, where that listens', async () => {
    const { stderr, code, signal } = await interrupted('a listener of its own');
    expect([code, signal]).toEqual([5, null]);
    expect(stderr.match(/^event loop blocked (?:once|\d times), /gm)?.length).toBe(1);
  });

  it('is not waited for by signal-exit, which waits for us', async () => {
    const { stderr, code, signal } = await interrupted('signal-exit');
    expect([code, signal]).toEqual([null, 'SIGINT']);
    expect(stderr.match(/^event loop blocked (?:once|\d times), /gm)?.length).toBe(1);
    expect(stderr).toContain('signal-exit: SIGINT');
  });
});

interface TraceEvent {
  readonly ph: 'X' | 'I' | 'M';
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly args?: Record<string, unknown>;
}

function readTrace(name: string): TraceEvent[] {
  return JSON.parse(readFileSync(join(folder, name), 'utf8'));
}

describe('the trace file', () => {
  it('holds iterations, the slices in them, probes and garbage collection', async () => {
    const path = join(folder, 'sdk.json');
    const { stderr, output } = await debug('sdk', { env: { OTEL_EVENT_LOOP_DEBUG_TRACE_FILE: path } });
    const [, name] = /trace written to .*[/\\](sdk\.\d+\.json)\n/.exec(stderr) ?? [];
    const events = readTrace(name as string);
    for (const event of events) {
      expect(event).toMatchObject({ pid: expect.any(Number), tid: expect.any(Number), name: expect.any(String) });
      expect(Number.isInteger(event.ts)).toBe(true);
      if (event.ph === 'X') expect(Number.isInteger(event.dur)).toBe(true);
    }
    expect(events.filter(({ ph }) => ph === 'M').map(({ name, args }) => [name, args?.name])).toEqual([
      ['process_name', 'node debug.cjs'],
      ['thread_name', 'event loop'],
      ['thread_name', 'garbage collection'],
      ['thread_name', 'stacks in blocks'],
    ]);
    expect(events.some(({ name }) => /^GC /.test(name))).toBe(true);

    const loop = events.filter(({ ph, tid }) => ph === 'X' && tid === 1);
    expectNested(loop);
    const blocks = loop.filter(({ name }) => name === 'block');
    const guilty = loop.filter(({ name, dur }) => name === 'guilty' && (dur as number) > 50_000);
    const around = (slice: TraceEvent) =>
      blocks.filter(({ ts, dur }) => ts <= slice.ts && ts + (dur as number) >= slice.ts + (slice.dur as number));
    expect(guilty.map((slice) => around(slice).length)).toEqual([1, 1]);
    const measured = output.measured as unknown as number[];
    const withheld = output.withheld as unknown as number;
    for (const [i, slice] of guilty.entries()) {
      expect((slice.dur as number) / 1000).toBeGreaterThanOrEqual((measured[i] as number) - 0.1);
      expect((slice.dur as number) / 1000).toBeLessThan((measured[i] as number) + 30 + withheld);
      expect(slice.args?.async_resource).toBe('promise job');
      const inside = events.filter(
        ({ ph, ts }) => ph === 'I' && ts >= slice.ts && ts <= slice.ts + (slice.dur as number),
      );
      expect(inside.map(({ name }) => name)).toContainEqual(expect.stringMatching(BUSY_LOOP));
      expect(inside[0]?.args?.stack).toEqual(
        expect.arrayContaining([expect.stringMatching(/busyLoop \(.*debug\.cjs/)]),
      );
    }
    expect(guilty.length).toBe(2);

    const stacks = events.filter(({ ph, tid }) => ph === 'X' && tid === 3);
    expectInEachOther(stacks);
    const busy = stacks.filter(({ name }) => name.startsWith('busyLoop (debug.cjs:'));
    for (const slice of guilty) {
      const seen = busy.filter(
        ({ ts, dur }) => ts < slice.ts + (slice.dur as number) && ts + (dur as number) > slice.ts,
      );
      expect(seen.length).toBeGreaterThan(0);
    }
  });

  it('is one for each process, and told where it cannot be', async () => {
    const environment = { NODE_OPTIONS: BY_IMPORT.join(' ') };
    const env = { ...environment, OTEL_EVENT_LOOP_DEBUG_TRACE_FILE: join(folder, 'p{pid}.trace') };
    const { stderr } = await debug('child process', { nodeArgs: [], env });
    const files = readdirSync(folder).filter((file) => /^p\d+\.trace$/.test(file));
    expect(files.length).toBe(2);
    expect(new Set(files.map((file) => (readTrace(file)[0] as TraceEvent).pid)).size).toBe(2);
    expect(headlines(stderr).length).toBe(1);

    const nowhere = await debug('quiet', {
      env: { ...NEVER, OTEL_EVENT_LOOP_DEBUG_TRACE_FILE: join(folder, 'no/such/t.json') },
    });
    expect(nowhere.stderr).toMatch(/^opentelemetry-instrumentation-event-loop: no trace file: ENOENT.*\n$/);
    expect(nowhere.code).toBe(0);
  });
});

/** No two overlap but where one lies in the other, which comes later in the file. */
function expectInEachOther(events: readonly TraceEvent[]): void {
  const ends: number[] = [];
  let last = 0;
  for (const { ts, dur } of events) {
    expect(ts).toBeGreaterThanOrEqual(last);
    last = ts;
    while (ends.length > 0 && (ends.at(-1) as number) <= ts) ends.pop();
    const end = ts + (dur as number);
    if (ends.length > 0) expect(end).toBeLessThanOrEqual(ends.at(-1) as number);
    ends.push(end);
  }
}

/** No two iterations overlap, no two slices do, and each slice lies in the iteration ahead of it. */
function expectNested(events: readonly TraceEvent[]): void {
  let iterationEnd = 0;
  let sliceEnd = 0;
  for (const { name, ts, dur } of events) {
    const end = ts + (dur as number);
    if (name === 'iteration' || name === 'block') {
      expect(ts).toBeGreaterThanOrEqual(iterationEnd);
      iterationEnd = end;
      sliceEnd = ts;
    } else {
      expect(ts).toBeGreaterThanOrEqual(sliceEnd);
      expect(end).toBeLessThanOrEqual(iterationEnd);
      sliceEnd = end;
    }
  }
}
