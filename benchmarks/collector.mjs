// SPDX-License-Identifier: Apache-2.0
// `npm run bench:collector`: what the sampling tier takes: CPU of a real Collector with the shipped sampling.yaml for each
// span, and memory for the traces that it holds until it decides; without our attributes, and with them. CPU time is that of
// the Collector's process, so that others on the machine matter little. `TRACES`: so many of ten spans each; `ROUNDS`: the median of so many.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { REPOSITORY } from '../test/support/apps.mjs';
import { startCollector } from '../test/support/backends.mjs';
import { endChildren } from '../test/support/servers.mjs';

const SAMPLING = join(REPOSITORY, 'examples/monitoring/collector/sampling.yaml');
const TRACES = Number(process.env.TRACES ?? 20_000);
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const SPANS = 10;
/** In an export, as the SDK's batch processor has it. */
const TRACES_PER_EXPORT = 50;
/** Linux counts CPU time in hundredths of a second. */
const TICK_SECONDS = 0.01;

const resource = resourceFromAttributes({
  'service.name': 'shop',
  'service.version': '1.2.3',
  'host.name': 'shop-5d8f7c9b4-x2x9z',
  'process.pid': 1,
  'process.runtime.name': 'nodejs',
  'process.runtime.version': '24.21.0',
});
const scope = { name: '@opentelemetry/instrumentation-http', version: '0.223.0' };
const STACK = Array.from({ length: 10 }, (_, i) => `    at function${i} (file:///srv/shop/src/report/build.js:${i}:7)`);

/**
 * A request of ten spans. `part`: what became of it. Of a hundred, as in docs/scale.md, one blocks and ten wait for it, which
 * at a hundred requests a second is a block each second.
 */
function makeTrace(part) {
  const traceId = randomBytes(16).toString('hex');
  const ids = Array.from({ length: SPANS }, () => randomBytes(8).toString('hex'));
  const seconds = Math.floor(Date.now() / 1000);
  const make = (spanId, parentId, name, attributes, links = []) => ({
    name,
    kind: parentId ? 0 : 1,
    spanContext: () => ({ traceId, spanId, traceFlags: 1 }),
    parentSpanContext: parentId && { traceId, spanId: parentId, traceFlags: 1 },
    startTime: [seconds, 1_000_000],
    endTime: [seconds, 21_000_000],
    status: { code: 0 },
    attributes,
    links,
    events: [],
    resource,
    instrumentationScope: scope,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  });
  const spans = ids.map((id, i) =>
    i === 0
      ? make(id, undefined, 'GET /users/:id', { ...HTTP, ...OURS[part]?.first }, OURS[part]?.links)
      : make(id, ids[0], `SELECT table${i}`, {
          ...DATABASE,
          ...(part !== 'bare' && i < 3 && { 'eventloop.time': 0.0012 }),
        }),
  );
  if (part === 'blamed') spans.push(make(randomBytes(8).toString('hex'), ids[0], 'event loop blocked', BLOCK));
  return spans;
}

const HTTP = {
  'http.request.method': 'GET',
  'http.route': '/users/:id',
  'http.response.status_code': 200,
  'url.path': '/users/4711',
  'url.scheme': 'http',
  'server.address': 'shop.example',
  'server.port': 443,
  'user_agent.original':
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36',
  'network.peer.address': '10.1.2.3',
  'network.protocol.version': '1.1',
};
const DATABASE = {
  'db.system.name': 'postgresql',
  'db.namespace': 'shop',
  'db.query.text': 'SELECT id, name, email, created_at FROM users WHERE id = $1 AND deleted_at IS NULL LIMIT 1',
  'server.address': 'db.shop.svc.cluster.local',
  'server.port': 5432,
};
const BLOCK = {
  'eventloop.block.duration': 0.123456,
  'eventloop.block.threshold': 0.05,
  'eventloop.block.shared': false,
  'eventloop.block.cause': 'cpu',
  'eventloop.block.cpu_time': 0.123456,
  'eventloop.block.gc_time': 0.001234,
  'eventloop.block.span_names': ['GET /users/:id', 'SELECT table1'],
  'eventloop.block.span_durations': [0.12, 0.003456],
  'eventloop.entry.name': 'GET /users/:id',
  'eventloop.entry.kind': 'server',
  'http.route': '/users/:id',
  'code.function.name': 'function0',
  'code.file.path': '/srv/shop/src/report/build.js',
  'code.line.number': 1,
  'code.column.number': 7,
  'code.stacktrace': STACK.join('\n'),
  'eventloop.block.stack_accuracy': 'during',
};
const link = {
  context: { traceId: randomBytes(16).toString('hex'), spanId: randomBytes(8).toString('hex'), traceFlags: 1 },
};
const OURS = {
  quiet: { first: { 'eventloop.time': 0.0031 } },
  blamed: {
    first: {
      'eventloop.time': 0.1234,
      'eventloop.blocked': true,
      'eventloop.block.count': 1,
      'eventloop.block.duration': 0.12,
      'eventloop.block.max_duration': 0.12,
    },
  },
  stalled: {
    first: {
      'eventloop.time': 0.0031,
      'eventloop.stalled': true,
      'eventloop.stall.count': 1,
      'eventloop.stall.duration': 0.1,
    },
    links: [link],
  },
};

/** What each of a hundred requests is. */
const MIXES = {
  'without us': () => 'bare',
  'with us, no block': () => 'quiet',
  'with us, 1 in 100 blocks and 10 wait': (i) => (i === 0 ? 'blamed' : i <= 10 ? 'stalled' : 'quiet'),
};

const sink = createServer((request, response) => request.resume().on('end', () => response.end())).listen(
  0,
  '127.0.0.1',
);
await once(sink, 'listening');
const env = { BACKEND_URL: `http://127.0.0.1:${sink.address().port}` };

console.log(`${TRACES} traces of ${SPANS} spans through sampling.yaml\n`);
console.log('| traces | bytes a span | spans a second and core | MB for 10,000 traces held |');
console.log('|---|---:|---:|---:|');
const rounds = Object.keys(MIXES).map(() => []);
// Each in turn, so that what changes on the machine meanwhile changes for all.
for (let round = 0; round < ROUNDS; round++) {
  for (const [i, mix] of Object.values(MIXES).entries()) {
    const { spansPerSecond, bytesPerSpan } = await measureCpu(mix);
    rounds[i].push({ bytesPerSpan, spansPerSecond, held: await measureHeld(mix) });
  }
}
for (const [i, name] of Object.keys(MIXES).entries()) {
  const median = (key) => rounds[i].map((it) => it[key]).sort((a, b) => a - b)[ROUNDS >> 1];
  const spansPerSecond = Math.round(median('spansPerSecond') / 1000) * 1000;
  console.log(`| ${name} | ${median('bytesPerSpan').toFixed(0)} | ${spansPerSecond} | ${median('held').toFixed(0)} |`);
}
sink.close().closeAllConnections();

/** From the first span to the last decision. */
async function measureCpu(mix) {
  const collector = await start('2s');
  await send(collector.url, 5_000, mix);
  await sleep(4_000);
  const before = cpuSeconds(collector.child.pid);
  const { spans, bytes } = await send(collector.url, TRACES, mix);
  await sleep(4_000);
  const seconds = cpuSeconds(collector.child.pid) - before;
  await endChildren('SIGKILL');
  return { spansPerSecond: spans / seconds, bytesPerSpan: bytes / spans };
}

/** Memory of the process that ten thousand traces more take, Go's own reserve included. */
async function measureHeld(mix) {
  const collector = await start('1h');
  await send(collector.url, 10_000, mix);
  const before = residentBytes(collector.child.pid);
  await send(collector.url, TRACES, mix);
  const bytes = residentBytes(collector.child.pid) - before;
  await endChildren('SIGKILL');
  return bytes / 1e6 / (TRACES / 10_000);
}

function start(decisionWait) {
  return startCollector(SAMPLING, { env, more: { processors: { tail_sampling: { decision_wait: decisionWait } } } });
}

async function send(url, traces, mix) {
  let spans = 0;
  let bytes = 0;
  for (let i = 0; i < traces; i += TRACES_PER_EXPORT) {
    const batch = Array.from({ length: TRACES_PER_EXPORT }, (_, k) => makeTrace(mix((i + k) % 100))).flat();
    const body = ProtobufTraceSerializer.serializeRequest(batch);
    spans += batch.length;
    bytes += body.length;
    const headers = { 'content-type': 'application/x-protobuf' };
    const response = await fetch(`${url}/v1/traces`, { method: 'POST', headers, body });
    if (!response.ok) throw new Error(`the collector answers ${response.status}: ${await response.text()}`);
    await response.arrayBuffer();
  }
  return { spans, bytes };
}

function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_SECONDS;
}

function residentBytes(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) * 1024;
}
