// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as semconv from '../../src/semconv.js';
import { Collector, type OtlpSpan } from '../support/collector.js';
import { type Run, runFixture } from '../support/run-fixture.js';
import { waitFor } from '../support/service.js';

/** What the server itself does for a request in the context of its span, around the handler. */
const HTTP_SLACK_MILLIS = 40;
const SEVERITY_NUMBER_WARN = 13;

interface Answer {
  readonly traceId: string;
  /** How long the handler blocked by its own clock. */
  readonly blockedMillis: number;
  /** How long it had stood ready without a core by then, outside of all that blocked. */
  readonly withheldMillis: number;
}

let collector: Collector;
let service: Run;
let report: Answer;
let lateReport: Answer;
let innocentTraceId: string;
let first: Answer;
let last: Answer;
const lines: string[] = [];
const folder = mkdtempSync(join(tmpdir(), 'event-loop-otlp-'));

beforeAll(async () => {
  collector = new Collector();
  await collector.start();
  let port: Promise<string> | undefined;
  let end = () => {};
  const ended = runFixture('otlp.cjs', {
    env: {
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_LOGS_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    },
    onSpawn: (child) => {
      child.stdout?.on('data', (text) => lines.push(...`${text}`.trim().split('\n')));
      port = waitFor(() => lines[0]);
      end = () => child.kill('SIGTERM');
    },
  });
  const base = `http://127.0.0.1:${await Promise.race([port, ended.then((run) => Promise.reject(run.stderr))])}`;

  await request(base);
  // What blocks before the watchdog is up has no stack.
  first = await request(`${base}/?ready`);
  report = await request(`${base}/?block=150`);
  const file = join(folder, 'end');
  lines.length = 0;
  const pending = request(`${base}/?query=20&block=200&file=${encodeURIComponent(file)}`);
  await waitFor(() => lines[0]);
  // It arrives while the loop is blocked, whatever the machine does meanwhile.
  const socket = connect(Number(new URL(base).port), '127.0.0.1');
  await once(socket, 'connect');
  const traceId = randomBytes(16).toString('hex');
  const traceparent = `00-${traceId}-${randomBytes(8).toString('hex')}-01`;
  socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\ntraceparent: ${traceparent}\r\nConnection: close\r\n\r\n`);
  writeFileSync(file, '');
  await once(socket.resume(), 'end');
  innocentTraceId = traceId;
  lateReport = await pending;
  last = await request(base);
  end();
  service = await ended;
});

afterAll(() => {
  rmSync(folder, { recursive: true });
  return collector.close();
});

/** The trace begins at the client, so that it knows which server span is its own. */
async function request(url: string): Promise<Answer> {
  const traceId = randomBytes(16).toString('hex');
  const traceparent = `00-${traceId}-${randomBytes(8).toString('hex')}-01`;
  const response = await fetch(url, { headers: { traceparent } });
  return { traceId, ...((await response.json()) as Omit<Answer, 'traceId'>) };
}

function only<T>(candidates: T[]): T {
  expect(candidates).toHaveLength(1);
  return candidates[0] as T;
}

const serverSpan = ({ traceId }: Pick<Answer, 'traceId'>): OtlpSpan =>
  only(collector.spans.filter((span) => span.traceId === traceId && span.kind === 'SPAN_KIND_SERVER'));

const blockSpan = ({ traceId }: Answer): OtlpSpan =>
  only(collector.spans.filter((span) => span.traceId === traceId && span.name === semconv.SPAN_BLOCK));

/** How long the block was that a block span stands for. */
const blockMillis = (span: OtlpSpan): number => (span.attributes['eventloop.block.duration'] as number) * 1000;
const durationOf = (span: OtlpSpan): number =>
  Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6;

function expectMeasured(millis: number, { blockedMillis }: Answer): void {
  const tolerance = Math.max(2, blockedMillis * 0.02);
  expect(millis).toBeGreaterThan(blockedMillis - tolerance);
  const withheld = last.withheldMillis - first.withheldMillis;
  expect(millis).toBeLessThan(blockedMillis + tolerance + HTTP_SLACK_MILLIS + withheld);
}

it('ends by itself, without a word', () => {
  expect(service).toMatchObject({ code: 0, signal: null, stderr: '' });
});

it.each([
  ['in the handler', () => report],
  ['after an await', () => lateReport],
])('names the server span that blocked %s', (_where, answer) => {
  const { attributes } = serverSpan(answer());
  expect(attributes).toMatchObject({ 'eventloop.blocked': true, 'eventloop.block.count': 1 });
  const blocked = (attributes['eventloop.block.duration'] as number) * 1000;
  expectMeasured(blocked, answer());
  expect(attributes['eventloop.block.max_duration']).toBe(attributes['eventloop.block.duration']);
});

it('spares the request that had to wait', () => {
  const { attributes } = serverSpan({ traceId: innocentTraceId });
  expect(attributes).toMatchObject({ 'eventloop.stalled': true });
  expect(attributes).not.toHaveProperty('eventloop.blocked');
});

it.each([
  ['in the handler', () => report],
  ['after an await', () => lateReport],
])('puts the block %s into its trace, as a span and as a log event', (_where, answer) => {
  const blamed = serverSpan(answer());
  const block = blockSpan(answer());
  expect(block).toMatchObject({ parentSpanId: blamed.spanId, kind: 'SPAN_KIND_INTERNAL' });
  // The block lasts as long as its iteration, in which others ran as well.
  const seconds = block.attributes['eventloop.block.span_durations'] as [number, ...number[]];
  expectMeasured(seconds[0] * 1000, answer());
  expect(blockMillis(block)).toBeCloseTo(seconds.reduce((sum, part) => sum + part) * 1000, 0);
  expect(block.attributes['eventloop.block.shared']).toBe(false);

  const log = only(collector.logs.filter(({ traceId }) => traceId === answer().traceId));
  expect(log).toMatchObject({
    eventName: 'eventloop.block',
    severityNumber: SEVERITY_NUMBER_WARN,
    severityText: 'WARN',
    spanId: blamed.spanId,
    attributes: block.attributes,
  });
  // It covers no more of that than lies in the blamed span's life.
  expect(durationOf(block)).toBeLessThanOrEqual(durationOf(blamed) + 0.001);
  expect(log.body).toMatch(`event loop blocked for ${Math.round(blockMillis(block))} ms by "${blamed.name}"`);
  expect(log.body).toMatch(/ in .+ \(otlp\.cjs:\d+:\d+\)$/);
});

it('counts the same blocks in its metrics, in seconds', () => {
  const blocks = collector.spans.filter((span) => span.name === semconv.SPAN_BLOCK);
  const totalSeconds = blocks.reduce((sum, block) => sum + blockMillis(block), 0) / 1000;

  for (const name of ['eventloop.delay', 'eventloop.block.duration', 'eventloop.block.time']) {
    expect(collector.metrics.get(name)?.unit, name).toBe('s');
  }
  for (const name of ['eventloop.delay', 'eventloop.block.duration']) {
    for (const point of collector.metrics.get(name)?.histogram?.dataPoints ?? []) {
      expect(point.explicitBounds, name).toEqual(semconv.BUCKETS_SECONDS);
    }
  }
  // One series for each cause.
  const durations = collector.metrics.get('eventloop.block.duration')?.histogram?.dataPoints ?? [];
  expect(durations.reduce((count, point) => count + Number(point.count), 0)).toBe(blocks.length);
  expect(durations.reduce((sum, point) => sum + Number(point.sum), 0)).toBeCloseTo(totalSeconds, 2);

  const time = collector.metrics.get('eventloop.block.time')?.sum;
  expect(time?.isMonotonic).toBe(true);
  expect(only(time?.dataPoints ?? []).asDouble).toBeCloseTo(totalSeconds, 2);
});
