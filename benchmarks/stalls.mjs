// SPDX-License-Identifier: Apache-2.0
// `npm run bench:stalls`: who is marked as stalled, against who really had to wait by the clock of a client that is never
// blocked. Requests come at random on new and kept connections, some wait for a slow "database", and one in a second
// blocks the service.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

const SECONDS = Number(process.env.SECONDS ?? 15);
const BLOCK_MILLIS = 200;
const QUERY_MILLIS = 400;
/** Behind a block requests also wait for those that are served first: that is no mistake of either side. */
const CATCH_UP_MILLIS = 30;

const now = () => performance.timeOrigin + performance.now();
const database = createServer((socket) => {
  socket.on('data', (millis) => setTimeout(() => socket.write('row\n'), Number(millis)));
  socket.on('error', () => {});
}).listen(0, '127.0.0.1');
await once(database, 'listening');

const fixtures = new URL('../test/fixtures/', import.meta.url);
const none = Object.fromEntries(['TRACES', 'METRICS', 'LOGS'].map((signal) => [`OTEL_${signal}_EXPORTER`, 'none']));
const service = spawn(process.execPath, [new URL('stalled.cjs', fixtures).pathname], {
  cwd: fixtures,
  env: { ...process.env, ...none, DATABASE_PORT: `${database.address().port}` },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const [firstLine] = await once(service.stdout, 'data');
const { port } = JSON.parse(firstLine);
const rest = text(service.stdout);

const agent = new Agent({ keepAlive: true });
const requests = [];
async function ask(path) {
  const request = { name: `request ${requests.length}`, path, sentAt: now() };
  requests.push(request);
  const url = new URL(path, `http://127.0.0.1:${port}`);
  url.searchParams.set('name', request.name);
  const [response] = await once(get(url, { agent: Math.random() < 0.3 && agent }), 'response');
  response.resume();
  await once(response, 'end');
  request.answeredAt = now();
}

const until = now() + SECONDS * 1_000;
async function send(path, pause) {
  const sent = [];
  for (; now() < until; await sleep(pause())) sent.push(ask(path));
  await Promise.all(sent);
}
await Promise.all(Array.from({ length: 20 }, () => ask('/quick')));
requests.length = 0;
await Promise.all([
  send(`/block?millis=${BLOCK_MILLIS}`, () => 700 + Math.random() * 300),
  send('/quick', () => Math.random() * 30),
  send(`/query?millis=${QUERY_MILLIS}`, () => Math.random() * 60),
]);
service.kill('SIGUSR2');
const { spans, logs } = JSON.parse((await rest).trim());
database.close();
agent.destroy();

// Their spans cover no more of them than lies in the blamed span's life.
const blocks = logs
  .filter(({ eventName }) => eventName === 'eventloop.block')
  .map(({ time, attributes }) => ({ startTime: time - attributes['eventloop.block.duration'] * 1e3, endTime: time }));
const traces = new Set(spans.filter((span) => span.attributes['eventloop.stalled']).map(({ traceId }) => traceId));
const marked = new Set(spans.filter(({ traceId }) => traces.has(traceId)).map(({ name }) => name));
const counts = {
  'waited, marked': 0,
  'waited, not marked': 0,
  'did not wait, marked': 0,
  'did not wait, not marked': 0,
};
for (const request of requests.filter(({ path }) => !path.startsWith('/block'))) {
  const isMarked = marked.has(request.name);
  // What is on its way at the edges of a block is neither.
  if (moments(request).some(isAtEdge)) continue;
  counts[`${moments(request).some(isInBlock) ? 'waited' : 'did not wait'}, ${isMarked ? '' : 'not '}marked`]++;
}
console.log(`Node.js ${process.version}, ${blocks.length} blocks of ${BLOCK_MILLIS} ms, ${requests.length} requests:`);
for (const [name, count] of Object.entries(counts)) console.log(`  ${name.padEnd(26)} ${count}`);

/** When something of it arrived at the service: the request, and the answer of its database. */
function moments({ path, sentAt }) {
  return path.startsWith('/query') ? [sentAt, databaseAnswer(sentAt)] : [sentAt];
}

/** The question waits for a block to end as well. */
function databaseAnswer(sentAt) {
  const block = blocks.find(({ startTime, endTime }) => sentAt > startTime && sentAt < endTime);
  return (block?.endTime ?? sentAt) + QUERY_MILLIS;
}

function isInBlock(time) {
  return blocks.some(({ startTime, endTime }) => time > startTime && time < endTime);
}

function isAtEdge(time) {
  return blocks.some(
    ({ startTime, endTime }) =>
      Math.abs(time - startTime) < CATCH_UP_MILLIS || Math.abs(time - endTime) < CATCH_UP_MILLIS,
  );
}
