// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { type RunOptions, runFixture } from '../support/run-fixture.js';

const REGISTER = 'opentelemetry-instrumentation-event-loop/register';
const DEBUG = 'opentelemetry-instrumentation-event-loop/debug';
const SDK = './sdk-register.cjs';

interface Output {
  readonly measured: number;
  /** How long it stood ready without a core, meanwhile and around it. */
  readonly withheld: number;
  readonly spans: { readonly name: string; readonly attributes: Record<string, unknown> }[];
  readonly logs: string[];
  readonly metrics: string[];
}

const namesIn = (attributes: Record<string, unknown>): string[] =>
  (attributes['eventloop.block.span_names'] as string[] | undefined) ?? [];

async function expectTelemetry(options: RunOptions): Promise<string> {
  const { stdout, stderr, code } = await runFixture('registered.cjs', options);
  expect(code).toBe(0);
  const { measured, withheld, metrics, ...output } = JSON.parse(stdout) as Output;
  // A machine that gives it no core makes blocks as well, under no span.
  const spans = output.spans.filter(
    ({ name, attributes }) => name === 'guilty' || namesIn(attributes).includes('guilty'),
  );
  const logs = output.logs.filter((body) => body.includes('"guilty"'));
  expect(spans.map(({ name }) => name)).toEqual(['guilty', 'event loop blocked']);
  const guilty = spans[0]?.attributes ?? {};
  expect(guilty['eventloop.blocked']).toBe(true);
  expect(guilty['eventloop.block.count']).toBe(1);
  const millis = (guilty['eventloop.block.duration'] as number) * 1000;
  expect(millis).toBeGreaterThan(measured - 2);
  expect(millis).toBeLessThan(measured + 15 + withheld);
  expect(logs).toEqual([expect.stringMatching(/^event loop blocked for \d+ ms by "guilty"/)]);
  expect(metrics).toEqual(
    expect.arrayContaining(['eventloop.delay', 'eventloop.block.duration', 'eventloop.block.time']),
  );
  return stderr;
}

describe.concurrent('./register', () => {
  it.each([
    ['after the SDK, as ES modules', ['--import', SDK, '--import', REGISTER]],
    ['ahead of the SDK, as ES modules', ['--import', REGISTER, '--import', SDK]],
    ['after the SDK, as CommonJS', ['--require', SDK, '--require', REGISTER]],
    ['ahead of the SDK, as CommonJS', ['--require', REGISTER, '--require', SDK]],
    ['twice, in both formats', ['--require', REGISTER, '--require', SDK, '--import', REGISTER]],
  ])('finds its place %s', async (_, nodeArgs) => {
    expect(await expectTelemetry({ nodeArgs })).toBe('');
  });

  it('waits for an SDK that is up long after the loop has turned', async () => {
    const nodeArgs = ['--require', SDK, '--import', REGISTER];
    expect(await expectTelemetry({ nodeArgs, env: { SDK_LATE: 'true' } })).toBe('');
  });

  it('watches worker threads as well, which inherit the command line', async () => {
    expect(await expectTelemetry({ nodeArgs: ['--require', SDK, '--import', REGISTER], args: ['worker'] })).toBe('');
  });

  it('reads its options from the environment', async () => {
    const env = { OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '3000' };
    const { stdout } = await runFixture('registered.cjs', { nodeArgs: ['--import', SDK, '--import', REGISTER], env });
    const { spans } = JSON.parse(stdout) as Output;
    expect(spans.filter(({ attributes }) => namesIn(attributes).includes('guilty'))).toEqual([]);
    expect(spans.find(({ name }) => name === 'guilty')?.attributes).not.toHaveProperty('eventloop.blocked');
  });

  it.each([
    ['ahead of', [DEBUG, REGISTER]],
    ['after', [REGISTER, DEBUG]],
  ])('goes together with ./debug %s it', async (_, entries) => {
    const nodeArgs = [SDK, ...entries].flatMap((entry) => ['--import', entry]);
    const stderr = await expectTelemetry({ nodeArgs });
    expect(stderr.match(/^event loop blocked for \d+ ms by "guilty" \(.*in: promise job\)$/gm)).toHaveLength(1);
  });
});
