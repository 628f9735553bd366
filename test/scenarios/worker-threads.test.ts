// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as semconv from '../../src/semconv.js';
import { Collector } from '../support/collector.js';
import {
  expectDuration,
  FIXTURES,
  millisOf,
  NODE_MAJOR,
  runScenario,
  type ScenarioResult,
} from '../support/run-fixture.js';
import { Service, waitFor } from '../support/service.js';

const WATCHED = { OTEL_EVENT_LOOP_WORKER_WATCHDOGS: 'true' };
const FIXTURE = join(FIXTURES, 'worker-threads.cjs');
/** From the head of the loop in `countFor` to its end. */
const LOOP_LINES = linesFrom('for (let i = 0; i < length; i++)', 3);
const LINUX = process.platform === 'linux';
const NO_STACKS = expect.stringMatching(/no stacks: only the main thread is looked at, and this is a worker thread$/);
/** Node.js starts V8's profiler in a thread with an interval of our own from there on. */
const HAS_STACKS = NODE_MAJOR >= 26;

const isLong = (attributes: Record<string, unknown>): boolean => Number(attributes[semconv.ATTR_BLOCK_CPU_TIME]) >= 0.1;

function linesFrom(code: string, count: number): number[] {
  const first = readFileSync(FIXTURE, 'utf8')
    .split('\n')
    .findIndex((line) => line.includes(code));
  return Array.from({ length: count }, (_, i) => first + 1 + i);
}

/** Once: what is asked for holds on any machine. */
const run = (name: string): Promise<ScenarioResult> =>
  runScenario('worker-threads.cjs', name, {
    env: { ...WATCHED, OTEL_EVENT_LOOP_ATTRIBUTION: 'exact' },
    isMeasuredOnce: true,
  });

describe('the watchdog of a worker thread', () => {
  it.runIf(LINUX)('tells that a block waited, and once where there are no stacks', async () => {
    const result = await run('waits');
    const name = result.output.name as string;
    const block = result.blockSpans.find(({ spanId }) => spanId === result.output.blockSpanId);
    expect(name).toMatch(/^wait \d+$/);
    expect(block?.attributes[semconv.ATTR_BLOCK_CAUSE]).toBe('wait');
    if (!HAS_STACKS) expect(block?.attributes).not.toHaveProperty([semconv.ATTR_CODE_FUNCTION_NAME]);
    expectDuration(result, millisOf(result.span(name), semconv.ATTR_BLOCK_DURATION), name);
    expect(result.output.port).toBe('none');
    expect(result.output.diagLines).toEqual(HAS_STACKS ? [] : [NO_STACKS]);
  });

  it.runIf(HAS_STACKS).each(['seen', 'seen in a thread of a thread'])('tells where it blocked: %s', async (name) => {
    const result = await run(name);
    const block = result.blockSpans.find(({ spanId }) => spanId === result.output.blockSpanId);
    const blamed = result.output.name as string;
    expect(blamed).toMatch(/^count \d+$/);
    expectDuration(result, millisOf(result.span(blamed), semconv.ATTR_BLOCK_DURATION), blamed);
    expect(block?.attributes).toMatchObject({
      [semconv.ATTR_CODE_FUNCTION_NAME]: 'countFor',
      [semconv.ATTR_CODE_FILE_PATH]: FIXTURE,
      [semconv.ATTR_BLOCK_STACK_ACCURACY]: 'during',
    });
    // Where the machine gave it a core, no other was named.
    const ran = result.blockSpans.filter(
      ({ attributes }) => attributes[semconv.ATTR_BLOCK_CAUSE] === 'cpu' && isLong(attributes),
    );
    const names = ran.map(({ attributes }) => attributes[semconv.ATTR_CODE_FUNCTION_NAME] ?? 'countFor');
    expect(new Set([...names, 'countFor'])).toEqual(new Set(['countFor']));
    // Of the function that ran, the line is that of the loop; of who called it, where it begins.
    expect(LOOP_LINES).toContain(block?.attributes[semconv.ATTR_CODE_LINE_NUMBER]);
    expect(block?.attributes[semconv.ATTR_CODE_STACKTRACE]).toMatch(/^ +at countFor .*\n(?:.*\n)*.*at untilSeen /);
    expect(result.output.port).toBe('none');
    expect(result.output.diagLines).toEqual([]);
  });

  it('leaves threads alone that end in any way while it looks at them', async () => {
    const { codes, looks } = (await run('ends')).output;
    expect(codes).toEqual({ 'returns 0': 2, 'exits 1': 2, 'throws 1': 2, 'loops 1': 2 });
    if (HAS_STACKS) expect(looks).toBeGreaterThan(0);
    else expect(looks).toBe(0);
  });

  it('is not seen any more where the main thread disables it', async () => {
    const { output } = await run('main thread disables it');
    expect(output).toMatchObject({ code: 0, hadSubscribers: HAS_STACKS, hasSubscribers: false });
  });

  it('is gone with disable()', async () => {
    const result = await run('disabled');
    expect(result.blamedNames).toEqual(['in the worker']);
    expectDuration(result, millisOf(result.span('in the worker'), semconv.ATTR_BLOCK_DURATION), 'worker');
    expect(result.output.code).toBe(0);
  });
});

describe('a worker thread that hangs while the main thread is well', () => {
  const collector = new Collector();
  let service: Service;
  beforeAll(() => collector.start());
  afterEach(async () => {
    await service.kill();
    collector.clear();
  });
  afterAll(() => collector.close());

  const start = (kind: string, options: NodeJS.ProcessEnv = {}): Promise<Service> =>
    Service.start('worker-threads.cjs', {
      args: ['hang', kind],
      timeoutMillis: 60_000,
      env: {
        ...WATCHED,
        OTEL_EVENT_LOOP_ATTRIBUTION: 'exact',
        OTEL_EVENT_LOOP_HANG_THRESHOLD_MILLIS: '1000',
        OTEL_TRACES_EXPORTER: 'otlp',
        OTEL_LOGS_EXPORTER: 'otlp',
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_SERVICE_NAME: 'service-with-workers',
        ...options,
      },
    });
  /** On a machine without a core for it, the main thread may be told to hang as well. */
  const hangOf = (threadId: number) =>
    waitFor(
      () =>
        collector.spans.find(({ name, attributes }) => name === semconv.SPAN_HANG && threadOf(attributes) === threadId),
      40_000,
    );
  const threadOf = (attributes: Record<string, unknown>): number => Number(attributes[semconv.ATTR_THREAD_ID]);

  it.each([
    ['loop', 'running'],
    ['wait', 'sleeping'],
  ])('is reported in its trace, and can be terminated: %s', async (kind, state) => {
    service = await start(kind);
    const { traceId, spanId, threadId } = (await service.line(0)) as Record<string, unknown>;
    const span = await hangOf(Number(threadId));
    expect(span).toMatchObject({ traceId, parentSpanId: spanId });
    expect(span.attributes[semconv.ATTR_HANG_DURATION]).toBeGreaterThanOrEqual(1);
    // One that has no core is ready to run, and the kernel calls that running as well.
    if (LINUX) expect(span.attributes[semconv.ATTR_HANG_THREAD_STATE]).toBe(state);
    const log = await waitFor(() =>
      collector.logs.find(
        ({ eventName, attributes }) => eventName === semconv.EVENT_HANG && threadOf(attributes) === threadId,
      ),
    );
    expect(log).toMatchObject({ traceId, spanId });
    expect(log.body).toContain(`event loop of worker thread ${threadId} hangs: blocked for`);
    const where = HAS_STACKS ? ` in ${kind} ` : `, ${state}`;
    if (LINUX) expect(log.body).toContain(`s by "endless"${where}`);
    if (HAS_STACKS)
      expect(span.attributes).toMatchObject({
        [semconv.ATTR_CODE_FUNCTION_NAME]: kind,
        [semconv.ATTR_CODE_FILE_PATH]: FIXTURE,
      });
    else expect(span.attributes).not.toHaveProperty([semconv.ATTR_CODE_FUNCTION_NAME]);
    expect(service.stderr).toContain(`${log.body} (trace ${traceId}, span ${spanId})`);

    service.child.stdin?.write('terminate');
    expect(await service.line(1)).toEqual({ terminated: 1 });
    expect(await service.ended).toMatchObject({ code: 0, signal: null });
  });

  it('holds up no exit of the process', async () => {
    service = await start('loop');
    await hangOf(Number((await service.line(0)).threadId));
    service.child.stdin?.write('exit');
    expect(await service.ended).toMatchObject({ code: 3, signal: null });
  });

  it('ends no process with hangAction: abort', async () => {
    service = await start('loop', { OTEL_EVENT_LOOP_HANG_ACTION: 'abort' });
    await hangOf(Number((await service.line(0)).threadId));
    service.child.stdin?.write('terminate');
    expect(await service.line(1)).toEqual({ terminated: 1 });
    expect(await service.ended).toMatchObject({ code: 0, signal: null });
  });
});
