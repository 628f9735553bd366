// SPDX-License-Identifier: Apache-2.0
import { context } from '@opentelemetry/api';
import { getRPCMetadata } from '@opentelemetry/core';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { EventLoopInstrumentation } from 'opentelemetry-instrumentation-event-loop';

new NodeSDK({
  serviceName: 'event-loop-basic',
  instrumentations: [new HttpInstrumentation(), new EventLoopInstrumentation()],
}).start();

// Imported only now: instrumentation-http patches what is loaded after it. With `node --import tracing.mjs`, as in the
// demo, an ordinary import does.
const { default: fastify } = await import('fastify');
const app = fastify();

// As the instrumentation of a framework does: says which route it is.
app.addHook('onRequest', async (request) => {
  const metadata = getRPCMetadata(context.active());
  if (metadata) metadata.route = request.routeOptions.url;
});

app.get('/quick', async () => ({ ok: true }));

app.get('/slow', async () => {
  const until = performance.now() + 200;
  while (performance.now() < until); // stands for your own computation
  return { ok: true };
});

console.log('listening on', await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 8080) }));
