// SPDX-License-Identifier: Apache-2.0
// A service with an endpoint that is slow, one that freezes all others, and one that makes garbage.
import { setTimeout as sleep } from 'node:timers/promises';
import fastify from 'fastify';
import { seen, startGauge } from './gauge.mjs';

const app = fastify({ forceCloseConnections: true });
if (process.env.GAUGE_INTERVAL) startGauge(Number(process.env.GAUGE_INTERVAL));

/** Neither slow nor frozen. */
app.get('/users', async function getUsers() {
  await sleep(5);
  return { users: 3 };
});

/** Slow, and in nobody's way: it waits for somebody else. */
app.get('/search', async function getSearch() {
  await sleep(400);
  return { hits: 0 };
});

/** Freezes everybody for so long as it takes. */
app.get('/report', async function getReport(request) {
  await sleep(5);
  return { checksum: computeReport(Number(request.query.millis ?? 300)) };
});

function computeReport(millis) {
  const until = performance.now() + millis;
  let checksum = 0;
  while (performance.now() < until) checksum = (checksum * 31 + 7) % 1_000_003;
  return checksum;
}

/** Millions of small objects that are kept for a while: the collector has to look at each. */
app.get('/garbage', async function getGarbage() {
  await sleep(5);
  return { kept: keepRows() };
});

function keepRows() {
  const rows = [];
  for (let i = 0; i < 1_500_000; i++) rows.push({ id: i, tags: [i] });
  return rows.length;
}

/** What it has cost so far, in milliseconds of CPU, and what the gauge has seen. */
app.get('/cost', async () => {
  const { user, system } = process.cpuUsage();
  return { cpuMillis: (user + system) / 1000, ...seen() };
});

await app.listen({ host: '127.0.0.1', port: 0 });
process.send?.({ url: `http://127.0.0.1:${app.server.address().port}` });
process.once('disconnect', () => app.close());
