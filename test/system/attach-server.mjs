// SPDX-License-Identifier: Apache-2.0
// A service that knows nothing of the package, for `npm run test:attach`: express under load, with OpenTelemetry or without.
// Reads commands from stdin, a line each, and answers with a line of JSON.
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import cluster from 'node:cluster';
import dc from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import { readdirSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { createInterface } from 'node:readline';
import stream from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import vm from 'node:vm';
// Node.js changes `process.chdir` as this is loaded for the first time.
import 'node:worker_threads';
import express from 'express';

const isPrimary = process.argv.includes('cluster') && cluster.isPrimary;
const withSpans = process.argv.includes('spans');
const withPackage = process.argv.includes('package');

let otel;
let tracer;
let published = 0;
if (withSpans || withPackage) {
  otel = { api: await import('@opentelemetry/api'), core: await import('@opentelemetry/core') };
  const { NodeTracerProvider } = await import('@opentelemetry/sdk-trace-node');
  new NodeTracerProvider().register();
  tracer = otel.api.trace.getTracer('attach-server');
}
if (withPackage) {
  const { EventLoopInstrumentation } = await import('opentelemetry-instrumentation-event-loop');
  globalThis.instrumentation = new EventLoopInstrumentation();
  dc.subscribe('opentelemetry-instrumentation-event-loop:block', () => published++);
}

let sum = 0;

/** Takes that much of a core, whoever else wants it, and says for how long that was. */
function burn(millis) {
  const startedAt = Date.now();
  const from = process.cpuUsage();
  while (process.cpuUsage(from).user < millis * 1000) for (let i = 0; i < 100_000; i++) sum += Math.sqrt(i); // HERE burn
  console.log(JSON.stringify({ burnt: { startedAt, endedAt: Date.now(), sum } }));
}

if (process.argv.includes('stutter')) {
  const stutter = () => {
    burn(200);
    setTimeout(stutter, 300);
  };
  stutter();
}

const app = express();
app.get('/echo/:id', async (request, response) => {
  await sleep(1);
  response.json({ id: request.params.id });
});
app.get('/rank/:millis', (request, response) => {
  const rank = () => {
    burn(Number(request.params.millis));
    response.json({ millis: request.params.millis });
  };
  if (tracer === undefined) return rank();
  const { api, core } = otel;
  const entry = tracer.startSpan('GET /rank', { kind: api.SpanKind.SERVER });
  // As the instrumentation of HTTP does.
  const entered = core.setRPCMetadata(api.trace.setSpan(api.context.active(), entry), {
    type: core.RPCType.HTTP,
    span: entry,
  });
  tracer.startActiveSpan('rank', {}, entered, (span) => {
    const { traceId, spanId } = span.spanContext();
    console.log(JSON.stringify({ ranking: { traceId, spanId } }));
    api.context.with(api.trace.setSpan(entered, span), rank);
    span.end();
  });
  entry.end();
});
if (isPrimary) {
  cluster.setupPrimary({ inspectPort: 0 });
  for (let i = 0; i < 2; i++) cluster.fork();
} else {
  const server = app.listen(0, '127.0.0.1', () => {
    console.log(JSON.stringify({ port: server.address().port, pid: process.pid }));
  });
}

/** Everything that a watch might leave behind. */
const WHERE = {
  globalThis,
  process,
  processEvents: process._events,
  emitter: EventEmitter.prototype,
  socket: net.Socket.prototype,
  server: net.Server.prototype,
  httpServer: http.Server.prototype,
  incoming: http.IncomingMessage.prototype,
  outgoing: http.OutgoingMessage.prototype,
  readable: stream.Readable.prototype,
  writable: stream.Writable.prototype,
  resource: AsyncResource.prototype,
  resourceStatic: AsyncResource,
  storage: AsyncLocalStorage.prototype,
  storageStatic: AsyncLocalStorage,
  promise: Promise.prototype,
  promiseStatic: Promise,
  error: Error,
  fn: Function.prototype,
  vm,
  channel: dc.channel('opentelemetry-instrumentation-event-loop:block'),
};
if (tracer !== undefined) {
  const api = globalThis[Symbol.for('opentelemetry.js.api.1')];
  Object.assign(WHERE, {
    api,
    manager: api.context,
    managerPrototype: Object.getPrototypeOf(api.context),
    proxy: api.trace,
    provider: Object.getPrototypeOf(api.trace.getDelegate()),
    span: Object.getPrototypeOf(tracer.startSpan('shape')),
  });
}
/** A property is the same where all of this is: objects by what they are, and not by what they look like. */
const known = new Map();
const idOf = (value) => {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return String(value);
  if (!known.has(value)) known.set(value, `object ${known.size}`);
  return known.get(value);
};
function shapes() {
  const all = {};
  for (const [name, target] of Object.entries(WHERE)) {
    for (const key of Reflect.ownKeys(target)) {
      const { value, get, set, ...flags } = Object.getOwnPropertyDescriptor(target, key);
      // What is put back where it had been inherited is the same as before.
      if (value !== undefined && value === Object.getPrototypeOf(target)?.[key]) continue;
      // Counters, and what Node.js makes as it is asked for.
      const isPlain = typeof value === 'number' || typeof value === 'string';
      all[`${name}.${String(key)}`] = [
        isPlain ? '' : idOf(value),
        idOf(get),
        idOf(set),
        ...Object.values(flags),
      ].join();
    }
  }
  return all;
}

const commands = {
  state: () => ({
    resources: process.getActiveResourcesInfo().sort(),
    threads: readdirSync('/proc/self/task').length,
    descriptors: readdirSync('/proc/self/fd').length,
    shapes: shapes(),
    published,
  }),
  turn: () => ({}),
  memory: () => {
    globalThis.gc?.();
    return { rss: process.memoryUsage.rss(), heap: process.memoryUsage().heapUsed };
  },
};
createInterface({ input: process.stdin }).on('line', (line) => {
  console.log(JSON.stringify({ [line]: commands[line]() }));
});
