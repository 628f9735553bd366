// SPDX-License-Identifier: Apache-2.0
// A hello-world server with OpenTelemetry: one HTTP span, one inner span and 20 awaits a request.
// MODE: see server.mjs. MODE=lean, MODE=empty, MODE=worker: see lean.mjs.
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns';
import { readFile } from 'node:fs';
import { createRequire } from 'node:module';
import { gzip } from 'node:zlib';
import { trace } from '@opentelemetry/api';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { FLOORS } from './lean.mjs';
import { answer, discard, ours } from './server.mjs';

new NodeSDK({
  instrumentations: [new HttpInstrumentation(), ...ours()],
  spanProcessors: [new BatchSpanProcessor(discard)],
  metricReaders: [],
  logRecordProcessors: [],
}).start();

FLOORS[process.env.MODE]?.();

// After the SDK, so that instrumentation-http sees it being loaded.
const http = createRequire(import.meta.url)('node:http');
const tracer = trace.getTracer('benchmark');

// Once, as any service that exports what it traces. Before the first few kinds of asynchronous work V8 takes the hooks of
// AsyncLocalStorage (Node.js 20 and 22) for simpler than they will ever be again: 11 % of a request on 22.
const ignore = () => {};
readFile(new URL(import.meta.url), ignore);
lookup('localhost', ignore);
randomBytes(8, ignore);
gzip('hello world', ignore);

const server = http.createServer((_request, response) => {
  tracer.startActiveSpan('inner', async (span) => {
    for (let i = 0; i < 20; i++) await undefined;
    span.end();
    response.end('hello world');
  });
});
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));

answer();
