// SPDX-License-Identifier: Apache-2.0
// A parcel service: each parcel goes to a thread that prints its label, by way of a queue of one place.
import { Worker } from 'node:worker_threads';
import fastify from 'fastify';

const { Queue } = await import(process.env.REPAIRED === 'true' ? './queue-repaired.mjs' : './queue.mjs');
const app = fastify({ forceCloseConnections: true });
const labels = new Queue(new URL('./labels.mjs', import.meta.url));
// Shows that the process is alive, as monitoring agents in a thread of their own do, whatever its event loop does.
new Worker(new URL('./heartbeat.mjs', import.meta.url), { execArgv: [] }).unref();

app.get('/health', async () => ({ ok: true }));

app.post('/parcels', async function postParcel(request, reply) {
  await labels.put(request.body);
  return reply.code(202).send({ accepted: true });
});

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 0) });
process.send?.({ url: `http://127.0.0.1:${app.server.address().port}` });
process.once('disconnect', () => {
  labels.close();
  app.close();
});
