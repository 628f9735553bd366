// SPDX-License-Identifier: Apache-2.0
// A service as there are many: fastify with its own and OpenTelemetry's instrumentations, an order of 2 KB that is parsed and
// checked, a query to PostgreSQL (POSTGRES_URL), some 30 awaits, 2 KB of JSON back. MODE: see ../server.mjs.
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns';
import { readFile } from 'node:fs';
import { createRequire } from 'node:module';
import { gzip } from 'node:zlib';
import FastifyOtel from '@fastify/otel';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { answer, discard, ours } from '../server.mjs';

const CONNECTIONS = 10;

new NodeSDK({
  instrumentations: [
    new HttpInstrumentation(),
    new FastifyOtel.FastifyOtelInstrumentation({ registerOnInitialization: true }),
    new PgInstrumentation(),
    ...ours(),
  ],
  spanProcessors: [new BatchSpanProcessor(discard)],
  metricReaders: [],
  logRecordProcessors: [],
}).start();

// After the SDK, so that their instrumentations see them being loaded.
const require = createRequire(import.meta.url);
const fastify = require('fastify');
const { Pool } = require('pg');

// Once, as any service that exports what it traces; see ../hello-server.mjs.
const ignore = () => {};
readFile(new URL(import.meta.url), ignore);
lookup('localhost', ignore);
randomBytes(8, ignore);
gzip('hello world', ignore);

const pool = new Pool({ connectionString: process.env.POSTGRES_URL, max: CONNECTIONS });
await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.query('select 1')));

const item = {
  type: 'object',
  required: ['sku', 'quantity', 'price'],
  properties: {
    sku: { type: 'string', pattern: '^[A-Z0-9-]+$' },
    name: { type: 'string' },
    quantity: { type: 'integer', minimum: 1 },
    price: { type: 'number', minimum: 0 },
    tags: { type: 'array', items: { type: 'string' } },
  },
};
const body = {
  type: 'object',
  required: ['customer', 'items', 'currency'],
  additionalProperties: false,
  properties: {
    customer: { type: 'integer', minimum: 1 },
    currency: { type: 'string', minLength: 3, maxLength: 3 },
    note: { type: 'string', maxLength: 500 },
    items: { type: 'array', minItems: 1, maxItems: 50, items: item },
  },
};

async function authenticate({ headers }) {
  const token = await tokenOf(headers);
  await undefined;
  return { id: token.length, roles: ['buyer'] };
}

async function tokenOf({ authorization }) {
  return authorization ?? 'anonymous';
}

const rates = new Map([['EUR', 1.1]]);
async function rateOf(currency) {
  return rates.get(currency) ?? 1;
}

async function priceOf({ sku, name, quantity, price }, rate) {
  const total = Math.round(quantity * price * rate * 100) / 100;
  return { sku, name, quantity, unit: price * rate, total, discount: quantity > 5 ? 0.1 : 0 };
}

const app = fastify();
app.post('/orders', { schema: { body } }, async (request) => {
  const user = await authenticate(request);
  const { customer, items, currency } = request.body;
  const { rows } = await pool.query('select id, name, city, credit from customers where id = $1', [customer]);
  const rate = await rateOf(currency);
  const lines = [];
  for (const each of items) lines.push(await priceOf(each, rate));
  const total = lines.reduce((sum, line) => sum + line.total, 0);
  const links = { self: `/orders/${customer}`, invoice: `/invoices/${customer}` };
  return { order: customer * 1000 + user.id, customer: rows[0], currency, total, lines, links };
});
await app.listen({ port: 0, host: '127.0.0.1' });
process.send({ port: app.server.address().port });
answer();
