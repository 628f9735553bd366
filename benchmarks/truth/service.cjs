// SPDX-License-Identifier: Apache-2.0
// A service that answers pings and blocks in a known pattern, watched by every peer at once. Told to by messages.
'use strict';
const net = require('node:net');
const { performance } = require('node:perf_hooks');
const { metrics } = require('@opentelemetry/api');
const { AggregationTemporality, AggregationType, MeterProvider, MetricReader } = require('@opentelemetry/sdk-metrics');
const { RuntimeNodeInstrumentation } = require('@opentelemetry/instrumentation-runtime-node');
const { EventLoopInstrumentation } = require('opentelemetry-instrumentation-event-loop');
const fastify = require('fastify');
const prometheus = require('prom-client');

class Reader extends MetricReader {
  async onForceFlush() {}
  async onShutdown() {}
}
const selectors = { aggregationTemporalitySelector: () => AggregationTemporality.DELTA };
const explicit = new Reader(selectors);
const exponential = new Reader({ ...selectors, aggregationSelector: exponentialDelay });
function exponentialDelay(kind) {
  return kind === 'HISTOGRAM'
    ? { type: AggregationType.EXPONENTIAL_HISTOGRAM, options: { recordMinMax: true } }
    : { type: AggregationType.DEFAULT };
}
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [explicit, exponential] }));
new EventLoopInstrumentation();
// A provider of its own: it resets its histogram with each collection of any reader.
const runtimeNodeReader = new Reader();
new RuntimeNodeInstrumentation().setMeterProvider(new MeterProvider({ readers: [runtimeNodeReader] }));

const app = fastify();
app.register(require('@fastify/under-pressure'));
prometheus.collectDefaultMetrics();

// The answer to a ping is the ping.
const server = net.createServer((socket) => {
  socket.setNoDelay(true);
  socket.on('data', (data) => socket.write(data));
  socket.on('error', () => {});
});

const now = performance.now.bind(performance);
function block(millis) {
  const end = now() + millis;
  while (now() < end);
}
/** Blocks for `lengths()` each time, at moments `gaps()` apart, whatever the blocks themselves take. */
function repeat(gap, length) {
  let due = now();
  const next = () => {
    due = Math.max(due + gap(), now());
    setTimeout(
      () => {
        block(length());
        next();
      },
      Math.max(1, due - now()),
    );
  };
  next();
}
const exponentially = (mean) => -Math.log(1 - Math.random()) * mean;
const PATTERNS = {
  healthy: () => {},
  '300 ms each second': () =>
    repeat(
      () => 1_000,
      () => 300,
    ),
  'one of 2 s in 10 s': () => setTimeout(() => block(2_000), 3_000),
  '20 ms every 40 ms': () =>
    repeat(
      () => 40,
      () => 20,
    ),
  'Poisson, mean 50 ms': () =>
    repeat(
      () => exponentially(400),
      () => exponentially(50),
    ),
};

process.on('message', async ({ pattern, read }) => {
  if (pattern !== undefined) {
    await readAll(); // what came before does not count
    PATTERNS[pattern]();
    process.send({ started: true });
  }
  if (read) process.send(await readAll());
});
process.on('disconnect', () => process.exit());

async function readAll() {
  return {
    own: { explicit: await delay(explicit), exponential: await delay(exponential) },
    peers: {
      'instrumentation-runtime-node': await gauges(),
      'prom-client': await promClient(),
      '@fastify/under-pressure': { mean: app.memoryUsage().eventLoopDelay / 1000 },
    },
  };
}

async function collect(reader) {
  const { resourceMetrics } = await reader.collect();
  return resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
}

async function delay(reader) {
  const found = await collect(reader);
  return found.find((metric) => metric.descriptor.name === 'eventloop.delay')?.dataPoints[0]?.value;
}

async function gauges() {
  const found = await collect(runtimeNodeReader);
  const value = (name) =>
    found.find((metric) => metric.descriptor.name === `nodejs.eventloop.delay.${name}`)?.dataPoints[0]?.value;
  return { mean: value('mean'), p50: value('p50'), p90: value('p90'), p99: value('p99'), max: value('max') };
}

async function promClient() {
  const value = async (name) => {
    const metric = prometheus.register.getSingleMetric(`nodejs_eventloop_lag_${name}_seconds`);
    return (await metric.get()).values[0]?.value;
  };
  await prometheus.register.getSingleMetric('nodejs_eventloop_lag_seconds').get();
  return {
    mean: await value('mean'),
    p50: await value('p50'),
    p90: await value('p90'),
    p99: await value('p99'),
    max: await value('max'),
  };
}

app.ready().then(() => server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port })));
