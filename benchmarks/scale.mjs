// SPDX-License-Identifier: Apache-2.0
// `npm run bench:scale`: how many bytes a block costs on the wire, and what a fleet sends at given block rates. Real spans,
// log events and metrics of real blocks, serialised as the OTLP exporters do it (protobuf). docs/scale.md quotes it.
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { RPCType, setRPCMetadata } from '@opentelemetry/core';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import {
  ProtobufLogsSerializer,
  ProtobufMetricsSerializer,
  ProtobufTraceSerializer,
} from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { InMemoryLogRecordExporter, LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs';
import { DataPointType, MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics';
import {
  AlwaysOffSampler,
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node';
import Table from 'cli-table3';
import { EventLoopInstrumentation } from 'opentelemetry-instrumentation-event-loop';

const BLOCKS = 20;
const BLOCK_MILLIS = 60;
const PROCESSES = 10_000;
const BLOCKS_PER_MINUTE = [0, 0.1, 1, 10, 60, 600];
/** The default of maxBlocksPerMinute: what is beyond it has no span and no log event. */
const MAX_REPORTED_PER_MINUTE = 60;
/** How many requests wait for a block: an assumption; about (requests per second) × (length of a block). */
const STALLED_PER_BLOCK = 10;
/** The SDK's defaults. */
const METRIC_EXPORT_SECONDS = 60;
const LOG_EXPORT_SECONDS = 1;
/** eventloop.block.cause has four values, each with a histogram of its own. */
const CAUSES = 4;

/** Why and where it blocked, with values of an ordinary length. */
const FRAME = '    at buildReport (/srv/app/node_modules/report-builder/dist/build-report.js:142:17)';
const CODE = {
  'code.function.name': 'buildReport',
  'code.file.path': '/srv/app/node_modules/report-builder/dist/build-report.js',
  'code.line.number': 142,
  'code.column.number': 17,
  'code.stacktrace': Array.from({ length: 10 }, () => FRAME).join('\n'),
  'eventloop.block.cause': 'cpu',
  'eventloop.block.cpu_time': 0.0598,
  'eventloop.block.gc_time': 0.0012,
  'eventloop.block.stack_accuracy': 'during',
};

/** What a request's span is started with. */
const REQUEST = { 'http.request.method': 'GET', 'url.path': '/report/4711' };

const resource = resourceFromAttributes({
  'service.name': 'checkout',
  'service.namespace': 'shop',
  'service.version': '2026.11.3',
  'service.instance.id': '627cc493-f310-47de-96bd-71410b7dec09',
  'deployment.environment.name': 'production',
  'k8s.pod.name': 'checkout-7d9c4b6f5d-x2x7p',
  'k8s.namespace.name': 'shop',
  'k8s.cluster.name': 'eu-west-1',
  'telemetry.sdk.name': 'opentelemetry',
  'telemetry.sdk.language': 'nodejs',
  'telemetry.sdk.version': '2.12.1',
});

class Reader extends MetricReader {
  onShutdown() {}
  onForceFlush() {}
}

const { spans, logs, metrics, metricText } = await runBlocks();
const unsampled = await runBlocks({ sampler: new AlwaysOffSampler() }, { metricAttributes: ['http.route'] });
if (unsampled.spans.length > 0 || unsampled.logs.length !== BLOCKS)
  throw new Error(`${unsampled.spans.length} spans, ${unsampled.logs.length} log events of what is not sampled`);
const blockSpans = spans.filter((span) => span.name === 'event loop blocked');
const blamedSpans = spans.filter((span) => span.attributes['eventloop.blocked']);
if (blockSpans.length !== BLOCKS || logs.length !== BLOCKS || blamedSpans.length !== BLOCKS) {
  throw new Error(`${blockSpans.length} block spans, ${logs.length} log events and ${blamedSpans.length} blamed spans`);
}

const traces = ProtobufTraceSerializer.serializeRequest;
const blockSpan = marginalBytes(traces, blockSpans.map(withoutCode));
const logEvent = marginalBytes(ProtobufLogsSerializer.serializeRequest, logs.map(withoutCode));
const unsampledLog = marginalBytes(ProtobufLogsSerializer.serializeRequest, unsampled.logs.map(withoutCode));
const blamed = marginalBytes(traces, blamedSpans) - marginalBytes(traces, blamedSpans.map(withoutOurs));
const ownTime =
  marginalBytes(traces, blamedSpans.map(withOnlyTime)) - marginalBytes(traces, blamedSpans.map(withoutOurs));
const byHand = handMadeSpans();
const metricExport = ProtobufMetricsSerializer.serializeRequest(metrics).length;
const logEnvelope = ProtobufLogsSerializer.serializeRequest(logs.slice(0, 1).map(withoutCode)).length - logEvent;
const { points, series } = countSeries();

print(
  'Bytes, OTLP over protobuf, before compression',
  ['what', 'bytes'],
  [
    ['block span, without why and where it blocked', blockSpan],
    ['  cause, code location and a stack of 10 frames *', byHand.code],
    ['log event', logEvent],
    ['log event of a request that is not sampled', unsampledLog],
    ['  the same on it *', byHand.code],
    ['marks on the blamed span', blamed],
    ['marks and a link on a stalled span *', byHand.stalled],
    ['eventloop.time on each span that ran for 1 ms', ownTime],
    ['resource and scope, once in each export of log events', logEnvelope],
    ['export of all metrics, with resource and scope', metricExport],
    ['  the same as text of a scrape', metricText.length],
    [`${BLOCKS} block spans in one export`, traces(blockSpans).length],
    ['  the same with gzip', gzipSync(traces(blockSpans)).length],
    ['export of all metrics with gzip', gzipSync(ProtobufMetricsSerializer.serializeRequest(metrics)).length],
  ],
);
console.log('* made by hand from the names of the contract\n');

print(
  'Series in Prometheus, per process',
  ['metric', 'data points', 'series'],
  [
    ...series.map(([name, count, total]) => [name, count, total]),
    ['sum', points, series.reduce((sum, [, , total]) => sum + total, 0)],
  ],
);

const perBlock = blockSpan + logEvent + 2 * byHand.code;
const fleet = BLOCKS_PER_MINUTE.map((rate) => {
  const reported = Math.min(rate, MAX_REPORTED_PER_MINUTE) / 60;
  const blocks = rate / 60;
  const logExports = Math.min(reported, 1 / LOG_EXPORT_SECONDS);
  const spanBytes = reported * (blockSpan + byHand.code) + blocks * (blamed + STALLED_PER_BLOCK * byHand.stalled);
  const logBytes = reported * (logEvent + byHand.code) + logExports * logEnvelope;
  const metricBytes = metricExport / METRIC_EXPORT_SECONDS;
  const bytes = spanBytes + logBytes + metricBytes;
  return [rate, reported, spanBytes, logBytes, metricBytes, bytes, reported * PROCESSES, (bytes * PROCESSES) / 1e6];
});
print(
  `Per process and second, and ${PROCESSES.toLocaleString('en')} processes; ${STALLED_PER_BLOCK} stalled spans per block`,
  ['blocks/min', 'block spans/s', 'B/s spans', 'B/s logs', 'B/s metrics', 'B/s', 'fleet: spans/s', 'fleet: MB/s'],
  fleet.map((row) => row.map((value) => Number(value.toPrecision(3)))),
);
console.log(`a reported block is ${perBlock} B: its span and its log event, both with cause and stack`);

/** Real blocks under a span as instrumentation-http names it. */
async function runBlocks(sdk = {}, config = {}) {
  const spanExporter = new InMemorySpanExporter();
  const tracerProvider = new NodeTracerProvider({
    resource,
    spanProcessors: [new SimpleSpanProcessor(spanExporter)],
    ...sdk,
  });
  context.disable();
  trace.disable();
  tracerProvider.register();
  const logExporter = new InMemoryLogRecordExporter();
  const loggerProvider = new LoggerProvider({
    resource,
    processors: [new SimpleLogRecordProcessor({ exporter: logExporter })],
  });
  const reader = new Reader();
  const instrumentation = new EventLoopInstrumentation(config);
  instrumentation.setTracerProvider(tracerProvider);
  instrumentation.setLoggerProvider(loggerProvider);
  instrumentation.setMeterProvider(new MeterProvider({ resource, readers: [reader] }));
  const tracer = trace.getTracer('@opentelemetry/instrumentation-http', '0.223.0');

  await sleep(300);
  for (let i = 0; i < BLOCKS; i++) {
    const span = tracer.startSpan('GET', { kind: 1, attributes: REQUEST }, ROOT_CONTEXT);
    // As instrumentation-http and that of a framework do it.
    const metadata = { type: RPCType.HTTP, span, route: '/report/:id' };
    context.with(setRPCMetadata(trace.setSpan(ROOT_CONTEXT, span), metadata), () => {
      const until = performance.now() + BLOCK_MILLIS;
      while (performance.now() < until);
      span.updateName('GET /report/:id').end();
    });
    await sleep(30);
  }
  await sleep(100);
  const { resourceMetrics } = await reader.collect();
  instrumentation.disable();
  return {
    spans: spanExporter.getFinishedSpans(),
    logs: logExporter.getFinishedLogRecords(),
    metrics: resourceMetrics,
    metricText: new PrometheusSerializer().serialize(resourceMetrics),
  };
}

/** What one more item adds to an export: resource and scope are there once, whatever the number. */
function marginalBytes(serialize, items) {
  return Math.round((serialize(items).length - serialize(items.slice(0, 1)).length) / (items.length - 1));
}

function withAttributes(span, attributes, links = span.links) {
  return Object.create(span, { attributes: { value: attributes }, links: { value: links } });
}

function withoutOurs(span) {
  return withAttributes(
    span,
    filtered(span.attributes, (name) => !name.startsWith('eventloop.')),
  );
}

/** As real ones depend on the code that blocks, those of CODE stand for them. */
function withoutCode(item) {
  return withAttributes(
    item,
    filtered(item.attributes, (name) => !(name in CODE)),
  );
}

function withOnlyTime(span) {
  const isKept = (name) => !name.startsWith('eventloop.') || name === 'eventloop.time';
  return withAttributes(span, filtered(span.attributes, isKept));
}

function filtered(attributes, isKept) {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => isKept(name)));
}

/** What the watchdog and the search for stalled spans add. */
function handMadeSpans() {
  const plain = blamedSpans.map(withoutOurs);
  const code = plain.map((span) => withAttributes(span, { ...span.attributes, ...CODE }));
  const stalled = plain.map((span, i) =>
    withAttributes(
      span,
      { ...span.attributes, 'eventloop.stalled': true, 'eventloop.stall.count': 1, 'eventloop.stall.duration': 0.0598 },
      [{ context: blockSpans[i].spanContext(), attributes: {} }],
    ),
  );
  const bytes = marginalBytes(traces, plain);
  return { code: marginalBytes(traces, code) - bytes, stalled: marginalBytes(traces, stalled) - bytes };
}

/** A histogram is a series for each bucket, the one without end, the sum and the count. */
function countSeries() {
  const all = metrics.scopeMetrics.flatMap((scope) => scope.metrics);
  const rows = all.map(({ descriptor, dataPointType, dataPoints }) => {
    const causes = descriptor.name === 'eventloop.block.duration' ? CAUSES : 1;
    const each = dataPointType === DataPointType.HISTOGRAM ? dataPoints[0].value.buckets.boundaries.length + 3 : 1;
    return [descriptor.name, causes, causes * each];
  });
  return { points: rows.reduce((sum, [, count]) => sum + count, 0), series: rows };
}

function print(title, head, rows) {
  const table = new Table({
    head,
    style: { head: [], border: [] },
    colAligns: head.map((_, i) => (i > 0 ? 'right' : 'left')),
  });
  table.push(...rows);
  console.log(`${title}\n${table}\n`);
}
