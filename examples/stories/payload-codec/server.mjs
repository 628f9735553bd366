// SPDX-License-Identifier: Apache-2.0
// Orders as workflows of three tasks each. What goes into a task and comes out of it is encrypted by the codec.
import fastify from 'fastify';
import { decode, encode } from './codec.mjs';
import { TaskQueue } from './queue.mjs';
import * as tasks from './tasks.mjs';

const SLOTS = 50;
const queue = new TaskQueue(SLOTS);
const app = fastify({ forceCloseConnections: true });

/** One task by way of the queue: arguments and result travel encrypted. */
async function execute(task, order) {
  const payload = await encode(JSON.stringify(order));
  const run = async () => encode(JSON.stringify(await task(JSON.parse(decode(payload)))));
  return JSON.parse(decode(await queue.schedule(task.name, run)));
}

app.post('/orders', async function postOrder(request) {
  let order = request.body;
  for (const task of [tasks.reserve, tasks.charge, tasks.ship]) order = await execute(task, order);
  return order;
});

await app.listen({ host: '127.0.0.1', port: 0 });
process.send?.({ url: `http://127.0.0.1:${app.server.address().port}` });
process.once('disconnect', () => app.close());
