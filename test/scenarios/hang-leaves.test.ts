// SPDX-License-Identifier: Apache-2.0
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { FIXTURES, runFixture } from '../support/run-fixture.js';
import { waitFor } from '../support/service.js';

const NAME = 'opentelemetry-instrumentation-event-loop';

interface Setup {
  readonly entry?: 'register' | 'debug';
  readonly sdk: 'none' | 'stand-ins' | 'unregistered' | 'whole';
  readonly span?: string;
  /** Whether `hangReportUrl` says where reports go; else the variables of the exporters do. */
  readonly byUrl?: boolean;
  readonly env?: NodeJS.ProcessEnv;
}

/** Of the service, as the resource says it. */
function nameOf(sdk: Setup['sdk']): string {
  return sdk === 'none' ? 'unknown_service' : 'service-with-a-name';
}

/** The bodies of what arrived, by path, once the program has hung, and all that is `expected` was there and `printed`. */
async function hangOnce(
  { entry = 'register', sdk, span, byUrl, env }: Setup,
  expected: readonly string[],
  printed?: RegExp,
): Promise<{ bodies: Record<string, string>; lines: string[] }> {
  const bodies: Record<string, string> = {};
  // To load an SDK may take so long as to be a hang itself, which knows nothing of it yet.
  const name = nameOf(sdk);
  const receiver = createServer((request, response) => {
    let body = '';
    request.on('data', (text) => {
      body += text.toString('latin1');
    });
    request.on('end', () => {
      bodies[request.url ?? ''] = body;
      response.end();
    });
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  let child: ChildProcess | undefined;
  let stderr = '';
  let stdout = '';
  /** Those that are whole. */
  const lines = (): string[] => stdout.split('\n').slice(0, -1);
  const ended = runFixture('hang-once.cjs', {
    nodeArgs: ['--import', `${NAME}/${entry}`],
    env: {
      OTEL_TRACES_EXPORTER: '',
      OTEL_LOGS_EXPORTER: '',
      OTEL_EVENT_LOOP_HANG_THRESHOLD_MILLIS: '300',
      [byUrl ? 'OTEL_EVENT_LOOP_HANG_REPORT_URL' : 'OTEL_EXPORTER_OTLP_ENDPOINT']: url,
      SDK: sdk,
      ...(span && { SPAN: span }),
      ...env,
    },
    onSpawn: (spawned) => {
      child = spawned;
      spawned.stderr?.on('data', (text) => {
        stderr += text;
      });
      spawned.stdout?.on('data', (text) => {
        stdout += text;
      });
    },
  });
  try {
    // One line for those without a collector, however many there are who have one.
    await waitFor(() => (/event loop hangs: blocked for \d+\.\d s/.test(stderr) ? true : undefined));
    await waitFor(() =>
      expected.every((path) => bodies[path]?.includes(name)) &&
      (printed === undefined || lines().some((line) => printed.test(line)))
        ? true
        : undefined,
    );
    // Whatever is not to come would be here by now.
    await sleep(expected.length === 2 ? 0 : 1_000);
  } finally {
    child?.kill('SIGKILL');
    await ended;
    receiver.close();
  }
  return { bodies, lines: lines() };
}

const TRACES = '/v1/traces';
const LOGS = '/v1/logs';

function exporters(traces: string, logs: string): NodeJS.ProcessEnv {
  return { OTEL_TRACES_EXPORTER: traces, OTEL_LOGS_EXPORTER: logs };
}

describe.concurrent('a hang report leaves the process', () => {
  it.each<[string, Setup, string[]]>([
    ['not at all from ./debug without an SDK', { entry: 'debug', sdk: 'none' }, []],
    ['not at all from ./register without an SDK', { sdk: 'none' }, []],
    ['not at all where nothing but stand-ins wait for an SDK', { sdk: 'stand-ins', span: 'no span' }, []],
    ['without an SDK where hangReportUrl says so', { entry: 'debug', sdk: 'none', byUrl: true }, [LOGS, TRACES]],
    ['as a span where spans are recorded that no SDK has registered', { sdk: 'unregistered', span: 'a' }, [TRACES]],
    ['with ./debug beside an SDK', { entry: 'debug', sdk: 'whole' }, [LOGS, TRACES]],
    ['as a log event where traces go elsewhere', { sdk: 'whole', env: exporters('console', '') }, [LOGS]],
    ['as a span where logs go nowhere', { sdk: 'whole', env: exporters('zipkin, otlp', 'none') }, [TRACES]],
    ['where hangReportUrl says so', { sdk: 'whole', byUrl: true, env: exporters('none', 'none') }, [LOGS, TRACES]],
  ])('%s', async (_, setup, paths) => {
    const { bodies } = await hangOnce(setup, paths);
    expect(Object.keys(bodies).sort()).toEqual(paths);
    // Also before any span was seen.
    for (const path of paths) expect(bodies[path]).toContain(nameOf(setup.sdk));
  });
});

describe.concurrent('where code is', () => {
  it.each([
    ['relative', true],
    ['none', false],
  ])('leaves the process with stackPaths: %s', async (stackPaths, isTold) => {
    const env = { OTEL_EVENT_LOOP_STACK_PATHS: stackPaths };
    const { bodies, lines } = await hangOnce(
      { sdk: 'whole', byUrl: true, env },
      [LOGS, TRACES],
      /eventloop\.block".* in hang\b/,
    );
    const told = lines.map(
      (line) => JSON.parse(line) as { name: string; body?: string; attributes: Record<string, number> },
    );
    // Not what the machine, or code that runs for the first time, may have made a block before.
    const ofBlock = told.filter(
      ({ name, attributes }) => /^event ?loop.block/.test(name) && (attributes['eventloop.block.duration'] ?? 0) >= 0.3,
    );
    expect(ofBlock.map(({ name }) => name).sort()).toEqual(['event loop blocked', 'eventloop.block']);
    for (const text of [...Object.values(bodies), ...ofBlock.map((record) => JSON.stringify(record))]) {
      expect(text).toContain('code.function.name');
      for (const place of ['hang-once.cjs', 'code.stacktrace', 'code.line.number']) {
        expect(text.includes(place), place).toBe(isTold);
      }
      expect(text).not.toContain(FIXTURES);
    }
    const place = isTold ? /^hang \(hang-once\.cjs:\d+:\d+\)$/ : /^hang$/;
    expect(
      ofBlock
        .find(({ body }) => body)
        ?.body?.split(' in ')
        .pop(),
    ).toMatch(place);
  });
});
