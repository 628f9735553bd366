// SPDX-License-Identifier: Apache-2.0
// A small web shop with one healthy route and four that block the event loop, each in a way seen in real services.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { trace } from '@opentelemetry/api';
import fastify from 'fastify';

const tracer = trace.getTracer('demo-shop');
const app = fastify({ forceCloseConnections: true });

/** Runs `fn` in a span of its own; it ends when the promise that `fn` may return has settled. */
function inSpan(name, fn) {
  return tracer.startActiveSpan(name, async (span) => {
    try {
      return await fn();
    } finally {
      span.end();
    }
  });
}

/** A database that answers after a while, without using the event loop meanwhile. */
const query = (name, millis, rows) => inSpan(name, () => sleep(millis, rows));

/** Healthy: it only ever waits, and several things at a time. */
app.get('/users/:id', async function getUser(request) {
  const user = await query('SELECT users', 4, { id: request.params.id, name: 'Ada' });
  const [orders, friends] = await Promise.all([
    query('SELECT orders', 6, [{ id: 7 }, { id: 9 }]),
    query('redis GET friends', 2, ['Grace', 'Edsger']),
  ]);
  return { ...user, orders, friends };
});

/** Pure computation in a handler: the classic. */
app.get('/report', async function getReport() {
  const rows = await query('SELECT sales', 20, SALES);
  return inSpan('build report', () => buildReport(rows));
});

function buildReport(sales) {
  const totals = new Map();
  for (const { city, amount } of sales.toSorted((a, b) => a.city.localeCompare(b.city) || b.amount - a.amount)) {
    totals.set(city, (totals.get(city) ?? 0) + amount);
  }
  return Array.from(totals, ([city, amount]) => ({ city, amount }));
}

/** Innocent up to the `await`, and a block behind it, where a profiler no longer knows of which request it is. */
app.get('/invoice', async function getInvoice() {
  const order = await query('SELECT order', 15, SALES.slice(0, 50_000));
  const signature = sign(order);
  await query('INSERT invoice', 5);
  return { lines: order.length, signature };
});

/** A chain of hashes over every line of an invoice. */
function sign(lines) {
  let signature = '';
  for (const line of lines) {
    signature = createHash('sha512').update(signature).update(JSON.stringify(line).repeat(4)).digest('hex');
  }
  return signature;
}

/** Megabytes of JSON in one piece. */
app.get('/import', async function getImport() {
  const feed = await query('download feed', 10, FEED);
  const sales = await inSpan('parse feed', () => JSON.parse(feed));
  await query('COPY sales', 12);
  return { imported: sales.length };
});

/** Waits without computing: the loop stands still all the same while another process does the work. */
app.get('/thumbnail', async function getThumbnail() {
  await query('SELECT image', 5);
  await inSpan('convert image', () => execFileSync(process.execPath, ['-e', 'setTimeout(() => {}, 80)']));
  return { ok: true };
});

const CITIES = ['Zürich', 'Örebro', 'Łódź', 'Århus', 'İzmir', 'São Paulo', 'Québec', 'Kraków'];
const SALES = Array.from({ length: 150_000 }, (_, i) => ({
  id: i,
  city: CITIES[(i * 7919) % CITIES.length],
  amount: (i * 104_729) % 10_007,
}));
const FEED = JSON.stringify(Array.from({ length: 2 }, () => SALES).flat());

await app.listen({ host: '127.0.0.1', port: 0 });
process.send?.({ url: `http://127.0.0.1:${app.server.address().port}` });
// The runner went away, or asks for the end by disconnecting: works on every platform, unlike signals.
process.once('disconnect', () => {
  app.close();
  // Where the runner was killed nobody takes the last telemetry any more, and the exporter would go on trying.
  setTimeout(() => process.exit(1), 3000).unref();
});
