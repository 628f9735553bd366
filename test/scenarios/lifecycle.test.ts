// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import {
  expectDuration,
  type FixtureSpan,
  millisOf,
  runFixture,
  runScenario,
  type ScenarioResult,
} from '../support/run-fixture.js';

const run = (name: string, options: Parameters<typeof runScenario>[2] = {}): Promise<ScenarioResult> =>
  runScenario('lifecycle.cjs', name, options);

function blockCount(result: ScenarioResult): number {
  // One point for each cause.
  const points = result.output.metrics['eventloop.block.duration']?.points ?? [];
  return points.reduce((sum, { value }) => sum + (typeof value === 'object' ? value.count : 0), 0);
}

describe('enable and disable', () => {
  it('leave no hook, timer, wrap or listener behind, a hundred times over', async () => {
    const result = await run('enabled and disabled a hundred times', {
      nodeArgs: ['--expose-internals'],
      isMeasuredOnce: true,
    });
    const { first, last, askedWhileDisabled } = result.output as Record<string, unknown>;
    expect(last).toEqual(first);
    expect(first).toMatchObject({
      exitListeners: 0,
      timers: 0,
      storageWraps: [],
      socketWrite: false,
      apiContext: true,
    });
    expect(askedWhileDisabled).toBe(0);
    // It measured before, not while disabled, and does again afterwards.
    expect(result.blamedNames).toEqual(['before', 'again']);
    expect(result.output.diagLines).toEqual([]);
  });

  it('leave no object slow', async () => {
    const { output } = await run('taken off again');
    expect(output).toMatchObject({ isTapped: true, isApiFast: true, isStorageFast: true, isErrorFast: true });
  });

  it('touch nothing with enabled: false', async () => {
    const result = await run('enabled: false');
    expect(result.blamedNames).toEqual([]);
    expect(result.blockSpans).toEqual([]);
    expect(result.output.metrics).toEqual({});
    expect(result.output.untouched).toBe(true);
    expect(result.output.diagLines).toEqual([]);
  });

  it('watch a thread once, however many instances and copies there are', async () => {
    const result = await run('two in one process');
    expect(result.output.sameCopy).toBe(false);
    expect(result.blamedNames).toEqual(['once', 'twice']);
    expect(result.span('once').attributes['eventloop.block.count']).toBe(1);
    expect(result.blockSpans).toHaveLength(2);
    expect(blockCount(result)).toBe(2);
    expect(result.output.diagLines).toHaveLength(2);
  });
});

describe('set-up', () => {
  it('counts once with setMeterProvider called three times', async () => {
    const result = await run('setMeterProvider three times');
    expect(blockCount(result)).toBe(1);
    const metrics = result.output.metrics;
    expect(Object.keys(metrics).sort()).toEqual([
      'eventloop.block.duration',
      'eventloop.block.time',
      'eventloop.delay',
    ]);
    const blockTime = metrics['eventloop.block.time']?.points[0]?.value;
    expectDuration(result, (blockTime as number) * 1000, 'once');
  });

  it('passes everything through without an SDK', async () => {
    const result = await run('no SDK at all');
    expect(result.output.result).toBe('passed through');
    expect(result.output.diagLines).toEqual([]);
  });

  it('joins an SDK that was there before', async () => {
    const result = await run('the SDK before the instrumentation');
    expect(result.blamedNames).toEqual(['late']);
    expect(blockCount(result)).toBe(1);
  });

  it('works in a worker thread that loads it, beside the main thread', async () => {
    const result = await run('worker thread');
    expect(result.blamedNames).toEqual(['in the main thread']);
    const inWorker = result.output.inWorker as FixtureSpan[];
    const blamed = inWorker.filter((span) => span.attributes['eventloop.blocked'] === true);
    expect(blamed.map((span) => span.name)).toEqual(['in the worker']);
    expect(millisOf(blamed[0] as FixtureSpan, 'eventloop.block.duration')).toBeGreaterThan(89);
  });
});

describe('bad input', () => {
  it('costs one line each, and the defaults are used', async () => {
    const result = await run('bad options', { env: { OTEL_EVENT_LOOP_MAX_BLOCKS_PER_MINUTE: 'many' } });
    expect(result.output.diagLines).toEqual([
      expect.stringContaining('unknown option "tresholdMillis"'),
      expect.stringContaining('"blockThresholdMillis" must be a number from 1 to 3600000, not -1; the default 50'),
      expect.stringContaining('"delayIntervalMillis" must be a number from 1 to 1000, not "20"; the default 20'),
      expect.stringContaining('"maxBlocksPerMinute" must be a number from 0 to 1000000, not NaN; the default 60'),
      expect.stringContaining('"blockHook" must be a function'),
    ]);
    expect(result.blamedNames).toEqual(['blocked']);
    expect(result.blockSpans[0]?.attributes['eventloop.block.threshold']).toBe(0.05);
  });

  it('in the environment costs one line as well', async () => {
    const result = await run('threshold from the environment', {
      env: { OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '-5' },
    });
    expect(result.output.diagLines).toEqual([
      expect.stringContaining(
        'OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS must be a number from 1 to 3600000, not "-5"; the default 50',
      ),
    ]);
    expect(result.blamedNames).toEqual(['95 ms', '130 ms']);
  });

  it('from hooks that throw costs one line for each hook, and the blocks are reported', async () => {
    const result = await run('throwing hooks');
    expect(result.output.diagLines).toEqual([
      expect.stringContaining('failed to run ignoreBlock'),
      expect.stringContaining('failed to run blockHook'),
    ]);
    expect(result.blamedNames).toEqual(['one', 'two']);
    expect(result.blockSpans).toHaveLength(2);
  });
});

describe('options', () => {
  it('are read from the environment', async () => {
    const result = await run('threshold from the environment', {
      env: { OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '120' },
    });
    expect(result.blamedNames).toEqual(['130 ms']);
    expect(result.blockSpans.map((block) => block.attributes['eventloop.block.threshold'])).toEqual([0.12]);
  });

  it('give blocks to the hooks and to the diagnostics channel', async () => {
    const result = await run('working hooks');
    expect(result.blamedNames).toEqual(['unknown']);
    expect(result.output.seen).toEqual([['unknown']]);
    expect(result.output.published).toEqual(['unknown']);
    expect(result.blockSpans.map((block) => block.attributes['app.team'])).toEqual(['payments']);
    expect(blockCount(result)).toBe(1);
  });

  it.each(['exact', 'on-demand'])('leave out what runs in allowBlocking (attribution: %s)', async (attribution) => {
    const result = await run('allowBlocking', { env: { OTEL_EVENT_LOOP_ATTRIBUTION: attribution } });
    expect(result.blamedNames).toEqual(['partly', 'passed on 42']);
    expect(result.blockSpans).toHaveLength(2);
    expect(result.output.diagLines).toEqual([]);
    expectDuration(result, millisOf(result.span('partly'), 'eventloop.block.duration'), 'partly');
    if (attribution === 'on-demand') return;
    // Its own time is what it is, and so is the delay.
    for (const [name, labels] of Object.entries({
      allowed: ['allowed'],
      'allowed child': ['allowed child'],
      partly: ['partly', 'partly allowed'],
    })) {
      const measured = labels.reduce((sum, label) => sum + result.measured(label), 0);
      expectDuration(result, millisOf(result.span(name), 'eventloop.time'), measured);
    }
    const delay = result.output.metrics['eventloop.delay']?.points[0]?.value as unknown as { max: number };
    expect(delay.max).toBeGreaterThan(0.8);
  });

  it('limit block spans and log events, but neither attributes nor metrics', async () => {
    const result = await run('rate limit');
    expect(result.blamedNames).toEqual(['block 1', 'block 2', 'block 3', 'block 4']);
    expect(result.blockSpans).toHaveLength(2);
    expect(result.output.logs).toHaveLength(2);
    expect(blockCount(result)).toBe(4);
  });
});

describe('the process', () => {
  it('loses no block but the last where the SDK is shut down with the last span', async () => {
    const result = await run('shut down at once');
    const job = result.span('job');
    expect(job.attributes['eventloop.block.count']).toBe(2);
    expect(result.blockSpans[0]?.parentSpanId).toBe(job.spanId);
    expect(result.output.diagLines).toEqual([]);
  });

  it.each([
    ['the end of the loop', 0, null, ''],
    ['process.exit', 3, null, ''],
    ['SIGTERM', null, 'SIGTERM', ''],
  ])('ends by %s as it would without us', async (name, code, signal, stderr) => {
    const ended = await runFixture('lifecycle.cjs', { args: [name] });
    expect(ended).toMatchObject({ code, signal, stderr, stdout: '' });
  });

  it('ends by a throw as it would without us', async () => {
    const ended = await runFixture('lifecycle.cjs', { args: ['a throw'] });
    expect(ended).toMatchObject({ code: 1, signal: null });
    expect(ended.stderr).toContain('Error: of the application');
    expect(ended.stderr).not.toContain('event-loop/');
    expect(ended.stderr.trim().split('\n').at(-1)).toMatch(/^Node\.js v/);
  });
});
