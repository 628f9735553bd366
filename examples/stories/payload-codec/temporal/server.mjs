// SPDX-License-Identifier: Apache-2.0
// The same orders as workflows of a real Temporal, whose worker runs here. `GET /metrics` are Temporal's own.
import { Client, Connection } from '@temporalio/client';
import {
  OpenTelemetryActivityInboundInterceptor,
  OpenTelemetryWorkflowClientInterceptor,
} from '@temporalio/interceptors-opentelemetry';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';
import fastify from 'fastify';
import * as tasks from '../tasks.mjs';
import { payloadCodec } from './codec.mjs';

const { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace } = process.env;
const { METRICS_ADDRESS: bindAddress, WORKFLOW_BUNDLE: codePath } = process.env;
const SLOTS = 10;
/** Bounds of buckets in milliseconds, each a tenth above the last: so much a percentile may be off. */
const BOUNDS = Array.from({ length: 120 }, (_, i) => 1.1 ** i);
const LATENCIES = ['workflow_endtoend_latency', 'activity_execution_latency', 'activity_schedule_to_start_latency'];

Runtime.install({
  logger: { log() {}, trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error },
  telemetryOptions: {
    metrics: {
      prometheus: {
        bindAddress,
        histogramBucketOverrides: Object.fromEntries(LATENCIES.map((name) => [`temporal_${name}`, BOUNDS])),
      },
    },
  },
});
const dataConverter = { payloadCodecs: [payloadCodec] };
// Of its own, so that what an earlier run left on a server is nobody's here.
const taskQueue = `orders-${process.pid}-${Date.now()}`;
const connection = await NativeConnection.connect({ address });
const worker = await Worker.create({
  connection,
  namespace,
  taskQueue,
  workflowBundle: { codePath },
  activities: tasks,
  dataConverter,
  maxConcurrentActivityTaskExecutions: SLOTS,
  interceptors: { activity: [(context) => ({ inbound: new OpenTelemetryActivityInboundInterceptor(context) })] },
});
const running = worker.run();

const clientConnection = await Connection.connect({ address });
const client = new Client({
  connection: clientConnection,
  namespace,
  dataConverter,
  interceptors: { workflow: [new OpenTelemetryWorkflowClientInterceptor()] },
});
const app = fastify({ forceCloseConnections: true });
app.setErrorHandler((error, _request, reply) => reply.code(500).send(`${error}, because of ${error.cause}`));
app.post('/orders', async function postOrder({ body }) {
  return client.workflow.execute('order', { taskQueue, workflowId: `${taskQueue}-${body.id}`, args: [body] });
});
await app.listen({ host: '127.0.0.1', port: 0 });
process.send?.({ url: `http://127.0.0.1:${app.server.address().port}` });
process.once('disconnect', async () => {
  await app.close();
  worker.shutdown();
  await running;
  await clientConnection.close();
  await connection.close();
});
