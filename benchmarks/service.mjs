// SPDX-License-Identifier: Apache-2.0
// `npm run bench:service`: CPU per request of a real service (service/server.mjs: fastify, a real PostgreSQL, 30 awaits),
// OpenTelemetry alone against OpenTelemetry and this package, before the first block and after a hundred. Needs Debian's
// package `postgresql`; the libraries are installed into .matrix/apps, with the package as it was built.
//   MODES=otel,on-demand,exact   see server.mjs
//   PROCESSES=6 ROUNDS=40 REQUESTS=250 CYCLES=100
//   HEAP=steady   without V8's choices about the size of the heap
//   TEST_NODE=…   Node.js binaries, with commas between them
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { endChildren, startPostgres } from '../test/support/servers.mjs';
import { installForBenchmarks } from './app.mjs';
import { requireAttributions } from './attribution.mjs';
import { NODES, start, versionOf } from './hello.mjs';
import { compare, settings } from './rounds.mjs';

const CUSTOMERS = 1_000;

const modes = (process.env.MODES ?? 'otel,on-demand,exact').split(',');
requireAttributions(modes);

const order = {
  customer: 7,
  currency: 'EUR',
  note: 'n'.repeat(200),
  items: Array.from({ length: 20 }, (_, i) => ({
    sku: `SKU-${1000 + i}`,
    name: `Article number ${i}`,
    quantity: 1 + (i % 7),
    price: 3.5 + i,
    tags: ['new', 'sale'],
  })),
};
const request = {
  method: 'POST',
  body: JSON.stringify(order),
  headers: { 'content-type': 'application/json', authorization: 'Bearer abc' },
};

const app = installForBenchmarks();
const POSTGRES_URL = await startPostgres({ max_connections: 300 });
try {
  await fill();
  for (const node of NODES) {
    const options = { script: join(app, 'benchmarks/service/server.mjs'), node, env: { POSTGRES_URL } };
    await compare({
      title: `Node.js ${versionOf(node)}, a service on fastify and PostgreSQL`,
      modes,
      start: (mode) => start(mode, { ...options, path: '/orders', request }),
      ...settings({ rounds: 40, requests: 250, warmUp: 10_000, cycles: 100 }),
      targets: { 'on-demand': 1.02 },
    });
  }
} finally {
  await endChildren();
}

async function fill() {
  const { Client } = createRequire(join(app, 'package.json'))('pg');
  const client = new Client({ connectionString: POSTGRES_URL });
  await client.connect();
  await client.query('create table customers (id integer primary key, name text, city text, credit numeric)');
  await client.query(
    "insert into customers select i, 'Customer ' || i, 'City ' || i % 50, i * 10 from generate_series(1, $1) i",
    [CUSTOMERS],
  );
  await client.end();
}
