// SPDX-License-Identifier: Apache-2.0
// A shop on PostgreSQL. `REPAIRED` lists the parts that have been put right; the others are as they were written.
import { setTimeout as sleep } from 'node:timers/promises';
import fastify from 'fastify';
import { inSpan } from './span.mjs';

const repaired = (process.env.REPAIRED ?? '').split(',');
const load = (part) => import(`./${repaired.includes(part) ? 'repaired' : 'legacy'}/${part}.mjs`);

const { query, withConnection } = await load('database');
const { stockOf } = await load('stock');
const { exportSales } = await load('export');
const { dashboard } = await load('dashboard');

const PAYMENT_MILLIS = 50;
const app = fastify({ forceCloseConnections: true });

app.get('/orders/:id', async function getOrder(request) {
  const { rows } = await query('select * from orders where id = $1', [Number(request.params.id)]);
  return rows[0];
});

app.get('/stock/:id', async function getStock(request) {
  return { stock: await stockOf(Number(request.params.id), query) };
});

app.get('/export', async function getExport(_, reply) {
  return reply.type('text/csv').send(await exportSales(query));
});

app.get('/dashboard', async function getDashboard() {
  return dashboard(query);
});

/** Holds its connection while somebody else takes the money: between the two statements nobody may have the order. */
app.post('/checkout/:id', async function checkout(request) {
  const id = Number(request.params.id);
  return withConnection(async (connection) => {
    await connection.query('update orders set state = $2 where id = $1', [id, 'paying']);
    await inSpan('POST payments', () => sleep(PAYMENT_MILLIS));
    await connection.query('update orders set state = $2 where id = $1', [id, 'paid']);
    return { id };
  });
});

await app.listen({ host: '127.0.0.1', port: 0 });
process.send?.({ url: `http://127.0.0.1:${app.server.address().port}` });
process.once('disconnect', () => {
  app.close();
  setTimeout(() => process.exit(), 3000).unref();
});
