// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as semconv from '../../src/semconv.js';
import { Collector, type OtlpLog, type OtlpSpan } from '../support/collector.js';
import { Service, waitFor } from '../support/service.js';

const THRESHOLD_MILLIS = 1_000;
const collector = new Collector();
const folder = mkdtempSync(join(tmpdir(), 'event-loop-hang-'));
let hangs = 0;
let service: Service;

beforeAll(() => collector.start());
afterEach(async () => {
  await service.kill();
  collector.clear();
});
afterAll(() => {
  rmSync(folder, { recursive: true });
  return collector.close();
});

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
  await fetch(service.url('/'));
  await fetch(service.url('/ready'));
  return service;
}

interface Report {
  readonly span: OtlpSpan;
  readonly log: OtlpLog;
  readonly hanging: { readonly traceId: string; readonly spanId: string };
  /** Of the span that hangs, in nanoseconds since the Unix epoch; undefined where it is not sampled. */
  readonly hangingSince: bigint | undefined;
}

async function hang(query: string): Promise<Report> {
  await service.send(`/hang?${query}`);
  const { startTime, ...hanging } = (await service.line(1)) as unknown as Report['hanging'] & {
    readonly startTime?: readonly [number, number];
  };
  const hangingSince = startTime && BigInt(startTime[0]) * 1_000_000_000n + BigInt(startTime[1]);
  const span = await waitFor(() => collector.spans.find(({ name }) => name === semconv.SPAN_HANG));
  const log = await waitFor(() => collector.logs.find(({ eventName }) => eventName === semconv.EVENT_HANG));
  return { span, log, hanging, hangingSince };
}

it('names no span where the export of the SDK hangs, whichever span is active', async () => {
  await start();
  const { span, log, hanging } = await hang('kind=export');
  expect(span.traceId).not.toBe(hanging.traceId);
  expect(span.attributes[semconv.ATTR_CODE_FUNCTION_NAME]).toBe('endlessLoop');
  expect(log.body).not.toContain('by "GET');
});

it('leaves the trace of a span alone that ended minutes ago, and is linked to it', async () => {
  await start();
  const { span, log, hanging } = await hang('kind=loop&ended=120');
  expect(span.traceId).not.toBe(hanging.traceId);
  expect(span.parentSpanId).toBeUndefined();
  expect(span.links).toMatchObject([hanging]);
  const covered = Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e9;
  expect(covered).toBeCloseTo(span.attributes[semconv.ATTR_HANG_DURATION] as number, 2);
  // The log event is no part of a trace's length.
  expect(log).toMatchObject(hanging);
  expect(log.body).toContain('by "request"');
});

it('stays in the trace of a span that ended a moment ago', async () => {
  await start();
  const { span, hanging } = await hang('kind=loop&ended=1');
  expect(span).toMatchObject({ traceId: hanging.traceId, parentSpanId: hanging.spanId });
});

describe.each([
  ['an endless loop', 'loop', 'endlessLoop', 'running'],
  ['a loop of commands', 'commands', 'commandAfterCommand', 'sleeping'],
  ['execSync of a command that does not end', 'execSync', undefined, 'sleeping'],
  ['a read of a FIFO that nobody writes to', 'fifo', undefined, 'sleeping'],
])('%s', (_, kind, functionName, state) => {
  it('is reported while it lasts, in its trace', async () => {
    await start();
    const { span, log, hanging, hangingSince } = await hang(`kind=${kind}`);

    expect(service.child.exitCode).toBeNull();
    expect(span).toMatchObject({ traceId: hanging.traceId, parentSpanId: hanging.spanId });
    expect(span.resource['service.name']).toBe('service-that-hangs');
    const lasted = (span.attributes[semconv.ATTR_HANG_DURATION] as number) * 1000;
    // How soon is a matter of `npm run bench:hang`.
    expect(lasted).toBeGreaterThanOrEqual(THRESHOLD_MILLIS);
    // The last beat was before the span that hangs, which no child of it may be.
    expect(BigInt(span.startTimeUnixNano)).toBeGreaterThanOrEqual(hangingSince as bigint);
    const covered = Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6;
    expect(covered).toBeLessThanOrEqual(lasted);
    expect(covered).toBeGreaterThan(0);
    expect(span.attributes[semconv.ATTR_HANG_THREAD_STATE]).toBe(state);
    expect(span.attributes[semconv.ATTR_CODE_FUNCTION_NAME]).toBe(functionName);
    if (functionName) expect(span.attributes[semconv.ATTR_CODE_STACKTRACE]).toMatch(functionName);
    expect(log).toMatchObject({ ...hanging, severityText: 'ERROR', attributes: span.attributes });
    const said = `event loop hangs: blocked for ${(lasted / 1000).toFixed(1)} s by "GET"`;
    expect(log.body.slice(0, said.length)).toBe(said);
    // One line for those without a collector.
    expect(service.stderr.trim().split('\n')).toEqual([
      `opentelemetry-instrumentation-event-loop: ${log.body} (trace ${hanging.traceId}, span ${hanging.spanId})`,
    ]);
  });
});

describe.each([
  [
    'seen by a look',
    'loop',
    'in endlessLoop (',
    { 'eventloop.entry.kind': 'server', 'http.route': '/:what', 'url.path': '/hang' },
  ],
  ['in native code', 'execSync', 'in native code, sleeping', {}],
])('%s', (_, kind, place, attributes) => {
  it('is named with its request where the trace is not sampled', async () => {
    // On demand nothing is known of a native call that begins ahead of the first look.
    await start({ attribution: 'exact', hangThresholdMillis: 300 }, { OTEL_TRACES_SAMPLER: 'always_off' });
    const { span, log, hanging } = await hang(`kind=${kind}&inner`);
    expect(span).toMatchObject({ traceId: hanging.traceId, parentSpanId: hanging.spanId });
    expect(span.attributes).toMatchObject({ 'eventloop.entry.name': 'GET /:what', ...attributes });
    expect(log.attributes).toEqual(span.attributes);
    expect(log.body).toContain(` s by "build report" in GET /:what, ${place}`);
  });
});

/** A file whose making ends a hang. */
function endOfHang(): string {
  return join(folder, `end ${++hangs}`);
}

// The schedule itself is in test/unit/hang-schedule.test.ts.
it('is where most of the looks saw it, not where the last one did', async () => {
  await start();
  const { span, log } = await hang('kind=turns&millis=2000');
  expect(span.attributes['code.function.name']).toBe('takesTurns');
  expect(span.attributes['code.stacktrace']).toMatch(/^ {4}at .*takesTurns .*\(/);
  expect(log.body).toMatch(/ in takesTurns \(.*hang\.cjs:\d+:\d+\)$/);
});

it('reports again and again, and the block itself once the loop is back', async () => {
  await start({ hangThresholdMillis: 300 });
  const end = endOfHang();
  const { hanging } = await hang(`kind=loop&file=${encodeURIComponent(end)}`);
  const reports = (): OtlpSpan[] => collector.spans.filter(({ name }) => name === semconv.SPAN_HANG);
  await waitFor(() => (reports().length >= 3 ? true : undefined));
  writeFileSync(end, '');
  const isOfHang = ({ name, parentSpanId }: OtlpSpan): boolean =>
    name === semconv.SPAN_BLOCK && parentSpanId === hanging.spanId;
  const block = await waitFor(() => collector.spans.find(isOfHang));
  expect(block.traceId).toBe(hanging.traceId);
  expect(block.attributes[semconv.ATTR_CODE_FUNCTION_NAME]).toBe('endlessLoop');
  const lasted = reports().map(({ attributes }) => attributes[semconv.ATTR_HANG_DURATION] as number);
  expect(lasted).toEqual([...lasted].sort((a, b) => a - b));
  for (const [i, due] of [0.3, 0.6, 1.2].entries()) expect(lasted[i]).toBeGreaterThanOrEqual(due);
});

it('leaves another service on the same host alone', async () => {
  await start();
  const other = await Service.start('hang.cjs', { timeoutMillis: 40_000 });
  const url = other.url('/');
  await fetch(url);
  await service.send('/hang?kind=execSync');
  await service.line(1);
  // It answers as long as the hang lasts, and says nothing.
  while (!collector.spans.some(({ name }) => name === semconv.SPAN_HANG)) {
    expect(await (await fetch(url)).text()).toBe('ok');
  }
  expect(other.stderr).toBe('');
  await other.kill();
});

it('still says so on stderr when the collector is down, and goes on afterwards', async () => {
  const closed = createServer().listen(0);
  await once(closed, 'listening');
  const { port } = closed.address() as AddressInfo;
  closed.close();
  await start({ hangThresholdMillis: 300 }, { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` });
  const end = endOfHang();
  await service.send(`/hang?kind=loop&file=${encodeURIComponent(end)}`);
  const seconds = (): number[] =>
    Array.from(service.stderr.matchAll(/blocked for ([\d.]+) s by "GET" in endlessLoop/g), ([, text]) => Number(text));
  await waitFor(() => (seconds().length >= 3 ? true : undefined));
  writeFileSync(end, '');
  expect(await (await fetch(service.url('/'))).text()).toBe('ok');
  for (const [i, due] of [0.3, 0.6, 1.2].entries()) expect(seconds()[i]).toBeGreaterThanOrEqual(due);
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
  const { signal } = await service.ended;
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
