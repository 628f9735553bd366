// SPDX-License-Identifier: Apache-2.0
// Orders as workflows of three tasks each. What goes into a task and comes out of it is encrypted by the codec.
import { setTimeout as sleep } from 'node:timers/promises';
import fastify from 'fastify';
import { decode, encode } from './codec.mjs';
import { TaskQueue } from './queue.mjs';

const SLOTS = 50;
const queue = new TaskQueue(SLOTS);
const app = fastify({ forceCloseConnections: true });

const TASKS = {
  reserve: (order) => sleep(20, { ...order, reserved: true }),
  charge: (order) => sleep(40, { ...order, charged: true }),
  ship: (order) => sleep(20, { ...order, shipped: true }),
};

/** One task by way of the queue: arguments and result travel encrypted. */
async function execute(name, order) {
  const payload = await encode(order);
  const result = await queue.schedule(name, async () => encode(await TASKS[name](decode(payload))));
  return decode(result);
}

app.post('/orders', async function postOrder(request) {
  let order = request.body;
  for (const name of Object.keys(TASKS)) order = await execute(name, order);
  return order;
});

await app.listen({ host: '127.0.0.1', port: 0 });
process.send?.({ url: `http://127.0.0.1:${app.server.address().port}` });
process.once('disconnect', () => app.close());
