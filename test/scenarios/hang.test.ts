// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as semconv from '../../src/semconv.js';
import { Collector, type OtlpLog, type OtlpSpan } from '../support/collector.js';
import { Service, waitFor } from '../support/service.js';

const THRESHOLD_MILLIS = 1_000;
const collector = new Collector();
let service: Service;

beforeAll(() => collector.start());
afterEach(async () => {
  await service.kill();
  collector.spans.length = 0;
  collector.logs.length = 0;
});
afterAll(() => collector.close());

async function start(options: object = {}, env: NodeJS.ProcessEnv = {}): Promise<Service> {
  service = await Service.start('hang.cjs', {
    args: [JSON.stringify({ hangThresholdMillis: THRESHOLD_MILLIS, ...options })],
    timeoutMillis: 40_000,
    env: {
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_LOGS_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: '100',
      ...env,
    },
  });
  // The program is up, and its first span has told the resource.
  await fetch(await service.url('/'));
  await sleep(300);
  return service;
}

interface Report {
  readonly span: OtlpSpan;
  readonly log: OtlpLog;
  readonly hanging: { readonly traceId: string; readonly spanId: string };
  /** From the moment that it hangs to the arrival of both. */
  readonly millis: number;
}

async function hang(query: string): Promise<Report> {
  await service.send(`/hang?${query}`);
  const hanging = (await service.line(1)) as unknown as Report['hanging'];
  const startedAt = performance.now();
  const span = await waitFor(() => collector.spans.find(({ name }) => name === semconv.SPAN_HANG));
  const log = await waitFor(() => collector.logs.find(({ eventName }) => eventName === semconv.EVENT_HANG));
  return { span, log, hanging, millis: performance.now() - startedAt };
}

it('names no span where the export of the SDK hangs, whichever span is active', async () => {
  await start();
  const { span, log, hanging } = await hang('kind=export');
  expect(span.traceId).not.toBe(hanging.traceId);
  expect(span.attributes[semconv.ATTR_CODE_FUNCTION_NAME]).toBe('endlessLoop');
  expect(log.body).not.toContain('by "GET');
});

describe.each([
  ['an endless loop', 'loop', 'endlessLoop', 'running'],
  ['a loop of commands', 'commands', 'commandAfterCommand', 'sleeping'],
  ['execSync of a command that does not end', 'execSync', undefined, 'sleeping'],
  ['a read of a FIFO that nobody writes to', 'fifo', undefined, 'sleeping'],
])('%s', (_, kind, functionName, state) => {
  it('is reported while it lasts, in its trace', async () => {
    await start();
    const { span, log, hanging, millis } = await hang(`kind=${kind}`);

    expect(service.child.exitCode).toBeNull();
    expect(millis).toBeGreaterThan(THRESHOLD_MILLIS - 50);
    expect(millis).toBeLessThan(THRESHOLD_MILLIS + 500);
    expect(span).toMatchObject({ traceId: hanging.traceId, parentSpanId: hanging.spanId });
    expect(span.resource['service.name']).toBe('service-that-hangs');
    const lasted = Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6;
    expect(lasted).toBeGreaterThan(THRESHOLD_MILLIS - 50);
    expect(lasted).toBeLessThan(millis + 100);
    expect(span.attributes[semconv.ATTR_HANG_DURATION]).toBeCloseTo(lasted / 1000, 1);
    expect(span.attributes[semconv.ATTR_HANG_THREAD_STATE]).toBe(state);
    expect(span.attributes[semconv.ATTR_CODE_FUNCTION_NAME]).toBe(functionName);
    if (functionName) expect(span.attributes[semconv.ATTR_CODE_STACKTRACE]).toMatch(functionName);
    expect(log).toMatchObject({ ...hanging, severityText: 'ERROR', attributes: span.attributes });
    expect(log.body).toMatch(/^event loop hangs: blocked for 1\.\d s by "GET"/);
    // One line for those without a collector.
    expect(service.stderr.trim().split('\n')).toEqual([
      `opentelemetry-instrumentation-event-loop: ${log.body} (trace ${hanging.traceId}, span ${hanging.spanId})`,
    ]);
  });
});

it('reports again at growing intervals, and the block itself once the loop is back', async () => {
  await start({ hangThresholdMillis: 500 });
  const { hanging } = await hang('kind=loop&millis=3000');
  const block = await waitFor(() => collector.spans.find(({ name }) => name === semconv.SPAN_BLOCK));
  expect(block).toMatchObject({ traceId: hanging.traceId, parentSpanId: hanging.spanId });
  expect(block.attributes[semconv.ATTR_CODE_FUNCTION_NAME]).toBe('endlessLoop');
  const reported = collector.spans
    .filter(({ name }) => name === semconv.SPAN_HANG)
    .map(({ attributes }) => attributes[semconv.ATTR_HANG_DURATION] as number);
  expect(reported.map((seconds) => Math.floor(seconds * 2) / 2)).toEqual([0.5, 1, 2]);
});

it('leaves another service on the same host alone', async () => {
  await start();
  const other = await Service.start('hang.cjs', { timeoutMillis: 40_000 });
  const url = await other.url('/');
  await fetch(url);
  await service.send('/hang?kind=execSync');
  const waits: number[] = [];
  for (let i = 0; i < 40; i++) {
    const startedAt = performance.now();
    await (await fetch(url)).text();
    waits.push(performance.now() - startedAt);
    await sleep(50);
  }
  await waitFor(() => collector.spans.find(({ name }) => name === semconv.SPAN_HANG));
  expect(waits.sort((a, b) => a - b)[20]).toBeLessThan(50);
  expect(other.stderr).toBe('');
  await other.kill();
});

it('still says so on stderr when the collector is down, and goes on afterwards', async () => {
  const closed = createServer().listen(0);
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await start({ hangThresholdMillis: 300 }, { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` });
  await service.send('/hang?kind=loop&millis=2000');
  await waitFor(() => (service.stderr.split('\n').length > 3 ? true : undefined));
  expect(await (await fetch(await service.url('/'))).text()).toBe('ok');
  expect(service.stderr.trim().split('\n')).toHaveLength(3);
  const seconds = [...service.stderr.matchAll(/blocked for ([\d.]+) s /g)].map(([, text]) => Number(text));
  for (const [i, due] of [0.3, 0.6, 1.2].entries()) {
    expect(seconds[i]).toBeGreaterThanOrEqual(due);
    expect(seconds[i]).toBeLessThan(due + 0.25);
  }
});

it('speaks gRPC where the variables say so', async () => {
  await start(
    {},
    { OTEL_EXPORTER_OTLP_ENDPOINT: collector.grpcUrl, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_LOGS_EXPORTER: 'none' },
  );
  await service.send('/hang?kind=execSync');
  const { spanId } = (await service.line(1)) as unknown as Report['hanging'];
  const span = await waitFor(() => collector.spans.find(({ name }) => name === semconv.SPAN_HANG));
  expect(span.parentSpanId).toBe(spanId);
  // OTEL_LOGS_EXPORTER=none holds for this log event as well.
  expect(collector.logs).toEqual([]);
});

it('goes where hangReportUrl says, with hangReportHeaders', async () => {
  const requests: { url: string | undefined; headers: IncomingHttpHeaders }[] = [];
  const receiver = createServer((request, response) => {
    requests.push({ url: request.url, headers: request.headers });
    request.resume().on('end', () => response.end());
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const { port } = receiver.address() as AddressInfo;
  await start({ hangReportUrl: `http://127.0.0.1:${port}/otlp/`, hangReportHeaders: { 'x-key': 'a=b, c' } });
  await service.send('/hang?kind=loop');
  await waitFor(() => (requests.length === 2 ? true : undefined));
  receiver.close();
  expect(requests.map(({ url }) => url).sort()).toEqual(['/otlp/v1/logs', '/otlp/v1/traces']);
  for (const { headers } of requests) {
    expect(headers).toMatchObject({ 'x-key': 'a=b, c', 'content-type': 'application/x-protobuf' });
  }
});

it.each(['loop', 'execSync'])('ends the process by a signal with hangAction: abort (%s)', async (kind) => {
  await start({ hangAction: 'abort' });
  const { hanging } = await hang(`kind=${kind}`);
  const startedAt = performance.now();
  const { signal } = await service.ended;
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  expect(signal).toBe('SIGABRT');
  expect(collector.spans.find(({ name }) => name === semconv.SPAN_HANG)?.traceId).toBe(hanging.traceId);
});

it('says nothing with hangThresholdMillis: 0', async () => {
  await start({ hangThresholdMillis: 0 });
  await service.send('/hang?kind=loop&millis=2500');
  await waitFor(() => collector.spans.find(({ name }) => name === semconv.SPAN_BLOCK));
  expect(collector.spans.filter(({ name }) => name === semconv.SPAN_HANG)).toEqual([]);
  expect(service.stderr).toBe('');
});
