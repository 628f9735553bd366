// SPDX-License-Identifier: Apache-2.0
// `npm run test:backends`, or `-- demo hang`: real traces in a real Jaeger behind a real Collector, with the shipped
// configuration, of which only addresses and waiting times are set from here, looked for as the pages say. Needs Go, and
// builds with it into `.backends/` what is not there yet.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { runLoad } from '../../examples/demo/load.mjs';
import { closeServers, listen } from '../support/alerting.mjs';
import { REPOSITORY, temporaryFolder } from '../support/apps.mjs';
import { buildJaeger, startCollector, startJaeger } from '../support/backends.mjs';
import { check, sumUp } from '../support/checks.mjs';
import { findTrace, searchTraces } from '../support/jaeger.mjs';
import { endChildren, startChild } from '../support/servers.mjs';

const SAMPLING = join(REPOSITORY, 'examples/monitoring/collector/sampling.yaml');
const TRACING = join(REPOSITORY, 'examples/demo/tracing.mjs');
const OWN_SPANS = ['event loop blocked', 'event loop hang'];
const BLOCKED = { 'eventloop.blocked': 'true' };
const STALLED = { 'eventloop.stalled': 'true' };
/** For what comes within seconds on a machine with nothing else to do. */
const TIMEOUT_MILLIS = 180_000;

/** Each blocking span of the demo, and the request that it is in. */
const CULPRITS = {
  'build report': 'GET /report',
  'handler - getInvoice': 'GET /invoice',
  'parse feed': 'GET /import',
  'convert image': 'GET /thumbnail',
};
/** Jaeger cuts off what is below a microsecond, of a span's start and of its length. */
const ROUNDING_MICROS = 2;

const RESEND_MILLIS = 30_000;

const PARTS = {
  demo: checkDemo,
  hang: checkHang,
};

const asked = process.argv.slice(2);
const folder = temporaryFolder();
for (const name of asked.length > 0 ? asked : Object.keys(PARTS)) {
  try {
    buildJaeger();
    await PARTS[name]();
  } catch (error) {
    check(`${name} comes to its end`, () => {
      throw error;
    });
  }
  closeServers();
  await endChildren('SIGKILL');
}
sumUp();
process.exit();

/** The demo's service under the demo's load, in Jaeger. */
async function checkDemo() {
  const jaeger = await startJaeger();
  const collector = await startSampling(jaeger, '5s');
  const service = await startService('examples/demo/service.mjs', 'event-loop-demo', collector.url);
  const load = await runLoad(service.url, 9);
  console.log(`        the load: ${JSON.stringify(load)}`);
  for (const entry of Object.values(CULPRITS)) await get(service.url + entry.replace('GET ', ''));
  await untilAllIsThere(jaeger, `${service.url}/report`);

  const search = (what) => searchTraces(jaeger.api, { service: 'event-loop-demo', ...what });
  const [all, blamed, stalled] = await Promise.all([search({}), search({ tags: BLOCKED }), search({ tags: STALLED })]);
  checkBlamed(blamed);
  await checkStalled(jaeger, stalled);
  checkTidy('demo', all);
}

/** A service that hangs, and comes back when its trace has been decided on. */
async function checkHang() {
  const jaeger = await startJaeger();
  const collector = await startSampling(jaeger, '5s');
  const service = await startService('test/fixtures/backends.mjs', 'hang', collector.url);
  await get(`${service.url}/quick`);
  await hangUntilDecided(jaeger, service, 'hang');
}

/** A request hangs; its trace is decided on while it does, and only then it comes back. */
async function hangUntilDecided(jaeger, service, name) {
  const file = join(folder, `${name}.end`);
  let isBack = false;
  const request = get(`${service.url}/hang?${new URLSearchParams({ file })}`).finally(() => {
    isBack = true;
  });
  const { traceId, spanId } = await service.next();
  const search = () => searchTraces(jaeger.api, { service: name, operation: OWN_SPANS[1] });
  let found;
  await until('the hang in Jaeger', async () => {
    found = (await search()).flatMap(({ spans }) => spans.filter((span) => span.name === OWN_SPANS[1]));
    return found.length > 0;
  });
  check(`${name}: the hang is in Jaeger while the process hangs, below the span that hangs`, () => {
    if (isBack) throw new Error('the process does not hang any more');
    const [span] = found;
    if (span.traceId !== traceId || span.parentId !== spanId)
      throw new Error(`it is below ${span.traceId} ${span.parentId}`);
  });
  writeFileSync(file, '');
  await request;
  let trace;
  await until('the request that hung in Jaeger', async () => {
    trace = await findTrace(jaeger.api, traceId);
    return trace.spans.some((span) => span.name === 'GET /hang');
  });
  checkTidy(name, [trace]);
  return { traceId };
}

/** The tag finds each culprit, and below each is its block. */
function checkBlamed(traces) {
  const spans = traces.flatMap((trace) => trace.spans);
  for (const [name, entry] of Object.entries(CULPRITS)) {
    check(`demo: the tag eventloop.blocked=true finds "${name}", with its block below it`, () => {
      const found = spans.filter((span) => span.name === name && span.tags['eventloop.blocked'] === true);
      const blocks = found.flatMap(({ id }) => spans.filter((it) => it.parentId === id && it.name === OWN_SPANS[0]));
      if (blocks.length === 0) throw new Error(`${found.length} such spans, without a block`);
      const entries = new Set(blocks.map(({ tags }) => tags['eventloop.entry.name']));
      if (!entries.has(entry)) throw new Error(`the block is in ${[...entries]}`);
    });
  }
  check('demo: each block span is below a span that is blamed, or is blamed itself', () => {
    const byId = new Map(spans.map((span) => [span.id, span]));
    const blocks = spans.filter(({ name, parentId }) => name === OWN_SPANS[0] && parentId !== undefined);
    const wrong = blocks.filter((block) => {
      const isBlamed = (span) => span?.tags['eventloop.blocked'] === true;
      return !(isBlamed(block) || isBlamed(byId.get(block.parentId)));
    });
    expectNone(wrong);
  });
}

/** The tag finds who had to wait, and each link leads to a block span that is there. */
async function checkStalled(jaeger, traces) {
  const stalled = traces.flatMap(({ spans }) => spans).filter(({ tags }) => tags['eventloop.stalled'] === true);
  const links = new Map(stalled.flatMap((span) => span.links.map((link) => [link.spanId, { link, span }])));
  const targets = await Promise.all(Array.from(links.values(), ({ link }) => findTrace(jaeger.api, link.traceId)));
  check(`demo: ${links.size} blocks that ${stalled.length} stalled spans are linked to are there`, () => {
    if (links.size === 0) throw new Error('no span is linked to a block');
    const there = new Map(targets.flatMap((trace) => trace?.spans ?? []).map((span) => [span.id, span]));
    expectNone(
      Array.from(links.values())
        .filter(({ link }) => there.get(link.spanId)?.name !== OWN_SPANS[0])
        .map(({ span }) => span),
    );
  });
}

/** What a person sees in each list and on each page: no warning, and no trace that we made longer. */
function checkTidy(name, traces) {
  const own = traces.flatMap(({ spans }) => spans.filter((span) => OWN_SPANS.includes(span.name)));
  check(`${name}: Jaeger has no warning on any of our ${own.length} spans`, () => {
    if (own.length === 0) throw new Error('there is none');
    expectNone(own.filter(({ warnings }) => warnings.length > 0));
  });
  check(`${name}: no trace is longer by a span of ours`, () => {
    const wrong = traces.flatMap(({ spans }) => {
      const others = spans.filter((span) => !OWN_SPANS.includes(span.name));
      const start = Math.min(...others.map((span) => span.start)) - ROUNDING_MICROS;
      const end = Math.max(...others.map((span) => span.end)) + ROUNDING_MICROS;
      // Where the blamed span had ended before the block, it is told as it was; and a block under no span is alone.
      const isInside = (span) => OWN_SPANS.includes(span.name) && span.tags['eventloop.blocked'] !== true;
      return others.length === 0 ? [] : spans.filter((it) => isInside(it) && (it.start < start || it.end > end));
    });
    expectNone(wrong);
  });
}

/** The shipped collector before Jaeger, which takes traces alone: metrics and logs are sent to where they are thrown away. */
async function startSampling(jaeger, decisionWait) {
  const elsewhere = await listen((request, response) => request.resume().on('end', () => response.end()));
  return startCollector(SAMPLING, {
    env: { BACKEND_URL: jaeger.otlp },
    more: {
      processors: { tail_sampling: { decision_wait: decisionWait } },
      exporters: {
        otlphttp: { metrics_endpoint: `${elsewhere}/v1/metrics`, logs_endpoint: `${elsewhere}/v1/logs` },
      },
    },
  });
}

/** Resolves once it listens; `next` to what it says next. */
async function startService(path, name, endpoint, env) {
  const variables = {
    OTEL_SERVICE_NAME: name,
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    // As in the demo: sooner than by default, and room for what piles up while the loop is blocked.
    OTEL_METRIC_EXPORT_INTERVAL: '2000',
    OTEL_METRIC_EXPORT_TIMEOUT: '2000',
    OTEL_BSP_SCHEDULE_DELAY: '500',
    OTEL_BSP_MAX_QUEUE_SIZE: '100000',
    ...env,
  };
  const args = ['--import', TRACING, join(REPOSITORY, path)];
  const child = startChild(process.execPath, args, variables, REPOSITORY, ['pipe', 'pipe', 'pipe', 'ipc']);
  const ended = once(child, 'exit').then(() => {
    throw new Error(`${path} has ended\n${child.said}`);
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => {
    const { value } = await Promise.race([lines.next(), ended]);
    return JSON.parse(value);
  };
  const [{ url }] = await Promise.race([once(child, 'message'), ended]);
  // From here on it may be ended.
  ended.catch(() => {});
  return { child, url, next };
}

/**
 * Sends a request that blocks behind all others: once it has come through, so has all that was sent before, but for what
 * was under way beside it. So another one. Their traces are known by the ids that they are sent with.
 */
async function untilAllIsThere(jaeger, url) {
  let sentAt = 0;
  for (let i = 0; i < 2; i++) {
    const sent = [];
    const isOneThere = async () => {
      for (const id of sent) if (await findTrace(jaeger.api, id)) return true;
      return false;
    };
    await until(`a trace of ${url} in Jaeger`, async () => {
      // Another one now and then: it only has to come through, whoever is blamed.
      if (sent.length === 0 || performance.now() - sentAt > RESEND_MILLIS) {
        const { traceId, headers } = knownTrace();
        sent.push(traceId);
        sentAt = performance.now();
        await get(url, headers);
      }
      return isOneThere();
    });
  }
}

async function get(url, headers) {
  const response = await fetch(url, { headers });
  await response.arrayBuffer();
}

/** As if another service had begun it. */
function knownTrace() {
  const [traceId, spanId] = [16, 8].map((bytes) => randomBytes(bytes).toString('hex'));
  return { traceId, headers: { traceparent: `00-${traceId}-${spanId}-01` } };
}

async function until(what, isSo) {
  for (const deadline = performance.now() + TIMEOUT_MILLIS; !(await isSo()); await sleep(200)) {
    if (performance.now() > deadline) throw new Error(`waited for ${what} for ${TIMEOUT_MILLIS / 1000} s`);
  }
}

function expectNone(spans) {
  if (spans.length === 0) return;
  // Stacks would hide the rest.
  const short = ({ tags, ...span }) => ({ ...span, blocked: tags?.['eventloop.blocked'] });
  const shown = spans.slice(0, 5).map((span) => JSON.stringify(short(span)));
  throw new Error([`${spans.length}, the first of them:`, ...shown].join('\n'));
}
