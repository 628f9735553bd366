// SPDX-License-Identifier: Apache-2.0
// `npm run test:libraries`: real libraries beside the packed package, against a real PostgreSQL and Redis. Ten requests
// run at a time, one of them blocks: that one must be blamed, with its own time, in the user's function, and no other. With
// `attribution: 'exact'`, and with the default, 'on-demand'; and where the library has routes, once more with a sampler that
// leaves everything out: then the log event has to say which route it was, in the name of that span.
// Needs Debian's packages `postgresql` and `redis-server`, and the built package. `npm run test:libraries -- pg koa` runs
// those only; TEST_NODE chooses the Node.js that runs the services.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { installApp, pack, REPOSITORY, temporaryFolder, versionOf } from '../support/apps.mjs';
import { endChildren, startChild, startPostgres, startRedis } from '../support/servers.mjs';

/** The newest ones that load on every supported Node.js and go with OpenTelemetry 2.x. */
const DEPENDENCIES = {
  '@fastify/otel': '0.21.2',
  '@hono/node-server': '2.1.8',
  '@hono/otel': '1.1.2',
  '@koa/router': '15.7.0',
  '@nestjs/common': '11.2.8',
  '@nestjs/core': '11.2.8',
  '@nestjs/platform-fastify': '11.2.8',
  '@opentelemetry/instrumentation-express': '0.71.1',
  '@opentelemetry/instrumentation-graphql': '0.71.0',
  '@opentelemetry/instrumentation-ioredis': '0.71.0',
  '@opentelemetry/instrumentation-koa': '0.71.0',
  '@opentelemetry/instrumentation-nestjs-core': '0.70.0',
  '@opentelemetry/instrumentation-pg': '0.76.0',
  '@opentelemetry/instrumentation-undici': '0.33.0',
  '@sentry/node': '10.78.0',
  '@sentry/opentelemetry': '10.78.0',
  bullmq: '6.7.0',
  'bullmq-otel': '2.0.1',
  'dd-trace': '5.132.0',
  express: '5.3.0',
  fastify: '5.12.8',
  graphql: '16.15.0',
  hono: '4.13.19',
  ioredis: '6.0.0',
  koa: '3.2.1',
  pg: '8.23.1',
  'reflect-metadata': '0.2.2',
  rxjs: '7.8.2',
  'sentry-11': 'npm:@sentry/node@11.12.0',
  undici: '7.30.2',
};

/** A block that is reported under no span. */
const NOBODY = undefined;

/** Which span of the guilty request is to blame, by the way in which it blocks; see fixtures/libraries.cjs. */
const SERVICES = {
  express: { sync: 'request handler', awaited: 'request handler' },
  fastify: { sync: 'handler - fastify -> @fastify/otel', awaited: 'handler - fastify -> @fastify/otel' },
  koa: { sync: 'middleware - answer', awaited: 'middleware - answer' },
  'koa with a router': { sync: 'router - /:way', awaited: 'router - /:way' },
  Hono: { sync: 'GET /:way', awaited: 'GET /:way' },
  'NestJS on fastify': { sync: 'answer', awaited: 'answer' },
  GraphQL: { sync: 'graphql.resolve sync', awaited: 'graphql.resolve awaited' },
  undici: { sync: 'GET', awaited: 'GET', reused: NOBODY, queued: NOBODY },
  pg: { sync: 'GET', awaited: 'GET', reused: 'GET', queued: 'GET' },
  'pg, not instrumented': { sync: 'GET', awaited: 'GET', reused: 'GET', queued: NOBODY },
  ioredis: { sync: 'GET', awaited: 'GET', reused: 'GET', queued: NOBODY },
  BullMQ: { sync: 'process reports', awaited: 'process reports' },
  'Sentry 10': { sync: 'GET', awaited: 'GET' },
  'Sentry 11': { sync: 'GET', awaited: 'GET' },
  'dd-trace': { sync: 'GET', awaited: 'GET' },
  'dd-trace as SDK': { sync: 'report', awaited: 'report' },
  cluster: { sync: 'GET', awaited: 'GET' },
  worker_threads: { sync: 'report', awaited: 'report' },
};
/** Those that know the route of a request. */
const ROUTED = ['express', 'fastify', 'koa with a router', 'Hono', 'NestJS on fastify'];
const ROUTE = '/:way';
const USER_FUNCTION = 'buildReport';
/** The watchdog looks at main threads only; 'on-demand' takes it. */
const WITHOUT_WATCHDOG = ['worker_threads'];
/**
 * What 'on-demand' may leave to nobody, because the block is in a tick, or a callback, of a connection whose beginning nobody
 * has seen, under a span that has made a connection.
 */
const MAY_BE_NOBODYS = { undici: ['sync'], ioredis: ['reused'], 'pg, not instrumented': ['reused'] };

/** Requests at a time; on the ways that are about one connection, the one that opens it and the one that blocks. */
const CONCURRENCY = 10;
const SHARED_CONNECTION = ['reused', 'queued'];
const WARM_UP_ROUNDS = 2;
/**
 * What a duration may be off by, in ms; the time that its process stood ready without a core comes on top. In a loop without a
 * pause, where nothing was followed, a block began anywhere between two beats: ten more.
 */
const LACKING_MILLIS = { exact: 2, 'on-demand': 12 };
const SURPLUS_MILLIS = 60;
/** A machine that held up a service for so long may have made blocks of its own: the service is tried again, last. */
const DISTURBED_MILLIS = 50;
const MAX_TRIES = 3;
const TIMEOUT_MILLIS = 30_000;

const startedAt = performance.now();
const node = process.env.TEST_NODE ?? process.execPath;
const folder = temporaryFolder();
const app = join(folder, 'app');

let passed = 0;
let failed = 0;
try {
  const names = chosenServices(process.argv.slice(2));
  installApp(app, 2, pack(folder).tarball, node, { dependencies: DEPENDENCIES });
  cpSync(join(REPOSITORY, 'test/fixtures'), join(app, 'fixtures'), { recursive: true });
  console.log(`Node.js ${versionOf(node)}, installed within ${seconds()} s`);
  const upstream = await startUpstream();
  const env = { UPSTREAM_URL: upstream, POSTGRES_URL: await startPostgres(), REDIS_URL: await startRedis() };
  const queue = [
    ...['exact', 'on-demand'].flatMap((attribution) =>
      names
        .filter((name) => attribution === 'exact' || !WITHOUT_WATCHDOG.includes(name))
        .map((name) => ({ name, attribution, isSampled: true, tries: 1 })),
    ),
    ...names
      .filter((name) => ROUTED.includes(name))
      .map((name) => ({ name, attribution: 'on-demand', isSampled: false, tries: 1 })),
  ];
  for (const service of queue) {
    if (await checkService(service, env)) queue.push({ ...service, tries: service.tries + 1 });
  }
} catch (error) {
  failed++;
  console.log(`FAILED  ${error.stack}`);
}
await endChildren();
console.log(`\nin ${seconds()} s\n`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);

function chosenServices(words) {
  const unknown = words.filter((word) => !(word in SERVICES));
  if (unknown.length > 0) throw new Error(`no such service: ${unknown}; there are ${Object.keys(SERVICES).join(', ')}`);
  return words.length > 0 ? words : Object.keys(SERVICES);
}

/** Says what became of it; or returns that it is to be tried again. */
async function checkService({ name, attribution, isSampled, tries }, env) {
  const title = isSampled ? `${name} (${attribution})` : `${name} (not sampled)`;
  let run;
  try {
    const sampler = isSampled ? {} : { OTEL_TRACES_SAMPLER: 'always_off' };
    run = await runService(name, { ...env, ...sampler, OTEL_EVENT_LOOP_ATTRIBUTION: attribution });
  } catch (error) {
    failed++;
    console.log(`FAILED  ${title}: ${error.message}`);
    return false;
  }
  const findings = run.rounds.map((round) => ({
    ...round,
    complaints: [
      ...(isSampled
        ? complaintsAbout(
            {
              ...round,
              attribution,
              mayBeNobodys: attribution === 'on-demand' && MAY_BE_NOBODYS[name]?.includes(round.way),
            },
            run,
            WITHOUT_WATCHDOG.includes(name) ? undefined : USER_FUNCTION,
          )
        : []),
      ...(ROUTED.includes(name) ? complaintsAboutEvent(round, run) : []),
    ],
  }));
  const disturbed = Math.max(...run.reports.map(({ waitedOutsideBlocks }) => waitedOutsideBlocks));
  const all = findings.flatMap(({ way, complaints }) => complaints.map((complaint) => `${way}: ${complaint}`));
  if (all.length > 0 && disturbed > DISTURBED_MILLIS && tries < MAX_TRIES) {
    const note = `the machine held it up for ${disturbed.toFixed(0)} ms`;
    console.log(`again   ${title}: ${note}\n        ${all.join('\n        ')}`);
    return true;
  }
  for (const { way, blamed, complaints } of findings) {
    const line = `${title}, ${way}: ${blamed ?? 'nobody'}`;
    if (complaints.length === 0) passed++;
    else failed++;
    console.log(
      complaints.length === 0 ? `ok      ${line}` : `FAILED  ${line}\n        ${complaints.join('\n        ')}`,
    );
  }
  return false;
}

/** Starts a service, has it do its work, and returns what it says of each round of requests. */
async function runService(name, env) {
  const settings = {
    ...env,
    NODE_OPTIONS: '',
    OTEL_TRACES_EXPORTER: 'none',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_LOGS_EXPORTER: 'none',
    OTEL_NODE_RESOURCE_DETECTORS: 'none',
    DD_TRACE_AGENT_URL: env.UPSTREAM_URL,
    // Else it takes the exporter "none" for itself.
    DD_TRACE_ENABLED: 'true',
  };
  const child = startChild(node, [join(app, 'fixtures/libraries.cjs'), name], settings, app);
  const timeout = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MILLIS);
  const ended = once(child, 'exit');
  const stdout = createInterface(child.stdout);
  const lines = [];
  stdout.on('line', (line) => lines.push(line));
  await Promise.race([once(stdout, 'line'), ended]);
  if (lines.length === 0) throw new Error(`does not start\n${child.said}`);
  const { port } = JSON.parse(lines[0]);
  const rounds = [];
  for (let i = 0; i < WARM_UP_ROUNDS; i++) {
    for (const way of ['sync', 'awaited']) await ask(port, way, CONCURRENCY, undefined);
  }
  for (const [way, blamed] of Object.entries(SERVICES[name])) {
    const count = SHARED_CONNECTION.includes(way) ? 2 : CONCURRENCY;
    rounds.push({ way, blamed, ...(await ask(port, way, count, Math.floor(count / 2))) });
  }
  child.stdin.end();
  const [code, signal] = await ended;
  if (!stdout.closed) await once(stdout, 'close');
  clearTimeout(timeout);
  if (code !== 0) throw new Error(`ended with ${code ?? signal}\n${child.said}`);
  return { rounds, reports: lines.slice(1).map((line) => JSON.parse(line)) };
}

/** Sends `count` requests at once, each in a trace of its own; returns which trace is the guilty one's. */
async function ask(port, way, count, guilty) {
  const from = Date.now();
  const traces = Array.from({ length: count }, () => randomBytes(16).toString('hex'));
  await Promise.all(
    traces.map(async (traceId, index) => {
      const spanId = randomBytes(8).toString('hex');
      const response = await fetch(`http://127.0.0.1:${port}/${way}${index === guilty ? '?guilty' : ''}`, {
        headers: { traceparent: `00-${traceId}-${spanId}-01`, 'sentry-trace': `${traceId}-${spanId}-1` },
        signal: AbortSignal.timeout(TIMEOUT_MILLIS),
      });
      if (!response.ok) throw new Error(`${way}: ${response.status}`);
      await response.text();
    }),
  );
  // The next round shall not begin in the same iteration.
  await sleep(50);
  return { from, to: Date.now(), guilty: traces[guilty] };
}

/** What is wrong with what was reported of a round; a process each, or a thread, has reported for itself. */
function complaintsAbout({ way, blamed, attribution, mayBeNobodys, from, to, guilty }, { reports }, userFunction) {
  const complaints = [];
  const expect = (what, actual, expected) => {
    if (JSON.stringify(actual) !== JSON.stringify(expected)) {
      complaints.push(`${what}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
    }
  };
  const whose = ({ name, traceId }) => `${name} of the ${traceId === guilty ? 'guilty' : 'innocent'}`;
  const spansOf = (report) => report.spans.filter(({ startTime }) => startTime >= from && startTime <= to);

  const pieces = reports.flatMap(({ blocks }) => blocks);
  const isOwnBlock = (span) =>
    isBlock(span) && (!isOfMachine(span) || pieces.some(({ middle }) => covers(span, middle)));
  // Whoever held the loop only because the machine gave it no core is none of ours.
  const accusedOf = (spans) =>
    spans.filter((span) => {
      const below = spans.filter((block) => isBlock(block) && block.parentSpanId === span.spanId);
      return isBlocked(span) && !isBlock(span) && (below.length === 0 || below.some(isOwnBlock));
    });
  const own = reports.filter(({ blocks }) => blocks.some(({ label }) => label === way));
  expect('processes that blocked', own.length, 1);
  const others = reports.filter((report) => !own.includes(report)).flatMap(spansOf);
  expect('reported elsewhere', [...others.filter(isOwnBlock), ...accusedOf(others)].map(whose), []);

  const spans = own.flatMap(spansOf);
  const accused = accusedOf(spans);
  const isNobodys = blamed === NOBODY || (mayBeNobodys && accused.length === 0);
  expect('accused', accused.map(whose), isNobodys ? [] : [`${blamed} of the guilty`]);
  const [{ millis, middle }] = own[0]?.blocks.filter(({ label }) => label === way) ?? [{}];
  const reportedBlocks = spans.filter(isBlock);
  const block = reportedBlocks.find((span) => covers(span, middle));
  if (block === undefined) return [...complaints, 'its block was not reported'];
  expect(
    'further blocks',
    reportedBlocks
      .filter((span) => span !== block && isOwnBlock(span))
      .map((span) => span.attributes['eventloop.block.span_names'][0]),
    [],
  );
  expect('parent of the block', block.parentSpanId, accused[0]?.spanId);
  expect('function', block.attributes['code.function.name'], userFunction);

  const reported = (accused[0]?.attributes['eventloop.block.duration'] ?? shareOfNobody(block)) * 1000;
  const most = millis + SURPLUS_MILLIS + own[0].waitedOutsideBlocks;
  if (!(reported > millis - LACKING_MILLIS[attribution] && reported < most)) {
    complaints.push(`${reported} ms instead of ${millis}`);
  }
  return complaints;
}

/** What is wrong with the log event of a round's block: it names the span, its request and the function, sampled or not. */
function complaintsAboutEvent({ way, blamed }, { reports }) {
  const pieces = reports.flatMap(({ blocks }) => blocks.filter(({ label }) => label === way));
  const events = reports.flatMap(({ logs }) => logs.filter(({ eventName }) => eventName === 'eventloop.block'));
  const event = events.find(({ time, attributes }) =>
    pieces.some(({ middle }) =>
      covers({ startTime: time - attributes['eventloop.block.duration'] * 1e3, endTime: time }, middle),
    ),
  );
  const told = event && {
    span: event.attributes['eventloop.block.span_names'][0],
    entry: event.attributes['eventloop.entry.name'],
    route: event.attributes['http.route'],
    function: event.attributes['code.function.name'],
  };
  const expected = { span: blamed, entry: `GET ${ROUTE}`, route: ROUTE, function: USER_FUNCTION };
  const [actual, wanted] = [told, expected].map((each) => JSON.stringify(each));
  return actual === wanted ? [] : [`log event: ${actual}, expected ${wanted}`];
}

function isBlock({ name }) {
  return name === 'event loop blocked';
}

function covers({ startTime, endTime }, time) {
  return startTime <= time && endTime >= time;
}

function isBlocked({ attributes }) {
  return attributes['eventloop.blocked'] === true;
}

/** The code's own part was no block. */
function isOfMachine({ attributes }) {
  return (
    attributes['eventloop.block.cause'] === 'host' &&
    attributes['eventloop.block.cpu_time'] < attributes['eventloop.block.threshold']
  );
}

function shareOfNobody({ attributes }) {
  return attributes['eventloop.block.span_durations'][attributes['eventloop.block.span_names'].indexOf('(no span)')];
}

/** What undici asks; to agents of other vendors it is the server that takes everything. */
async function startUpstream() {
  const server = createServer((request, response) => {
    request.resume();
    setTimeout(() => response.end('hello'), 30);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

function seconds() {
  return ((performance.now() - startedAt) / 1000).toFixed(1);
}
