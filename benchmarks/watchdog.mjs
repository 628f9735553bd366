// SPDX-License-Identifier: Apache-2.0
// What a process that is healthy pays in each attribution: CPU of beats and watchdog, and memory, against OpenTelemetry
// alone and against this package without its watchdog, idle and woken now and then; and what the watchdog's thread takes of
// a core while HTTP load takes all of another. Then many blocks in a row, and many looks under HTTP load, in the first
// attribution: whether memory grows, requests fail, or lose their context.
//   MODES=on-demand,exact
//   SECONDS=20 LOAD=200000 BLOCKS=3000 LOOKS=5000 (0: none of it)
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import autocannon from 'autocannon';
import { requireAttributions } from './attribution.mjs';
import { load, start } from './hello.mjs';

const { looks } = createRequire(import.meta.url)('../test/fixtures/internals.cjs');

const SECONDS = Number(process.env.SECONDS ?? 20);
const BLOCKS = Number(process.env.BLOCKS ?? 3_000);
const LOAD = Number(process.env.LOAD ?? 200_000);
const LOOKS = Number(process.env.LOOKS ?? 5_000);
const modes = (process.env.MODES ?? 'on-demand,exact').split(',');
/** How often a process is woken that is not idle. Milliseconds. */
const WAKE_MILLIS = 50;

if (process.argv[2] === 'child') await child(process.argv[3], process.argv[4]);
else if (process.argv[2] === 'server') await server();
else await parent();

async function parent() {
  requireAttributions(modes);
  // Side by side, so that a slow moment of the machine hits all of them.
  const kinds = ['otel', 'without watchdog', ...modes];
  const results = await Promise.all(
    kinds.flatMap((kind) => ['idle', 'awake'].map(async (state) => ({ kind, state, ...(await run(kind, state)) }))),
  );
  const find = (kind, state) => results.find((result) => result.kind === kind && result.state === state);
  console.log(
    `Node.js ${process.version}, ${SECONDS} s, idle and with a timer of ${WAKE_MILLIS} ms (idle: at most 1 %):`,
  );
  for (const kind of kinds) {
    const [idle, awake] = [find(kind, 'idle'), find(kind, 'awake')];
    const more = idle.rss - find('without watchdog', 'idle').rss;
    const memory = `RSS ${megabytes(idle.rss)}${modes.includes(kind) ? `: +${megabytes(more)} (at most +24 MB)` : ''}`;
    const sessions = `${idle.sessions} and ${awake.sessions} looks`;
    console.log(
      `  ${kind.padEnd(18)} ${percent(idle.cpu)} and ${percent(awake.cpu)} of a core, ${memory}, ${sessions}`,
    );
  }
  if (LOAD > 0) await underFullLoad();
  if (BLOCKS > 0) {
    const many = await run('blocks');
    console.log(`${BLOCKS} blocks of 15 ms in a row, ${many.blamed} of them with a stack, ${many.sessions} sessions:`);
    console.log(`  heap ${megabytes(many.heapBefore)} after a tenth, ${megabytes(many.heapAfter)} at the end`);
  }
  if (LOOKS > 0) await underLoad();
}

async function underFullLoad() {
  for (const mode of modes) {
    const server = await start(mode);
    await load(server);
    // It was the last thread to be started.
    const thread = Math.max(...readdirSync(`/proc/${server.child.pid}/task`).map(Number));
    const cpuMillis = () =>
      Number(readFileSync(`/proc/${server.child.pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
    const [cpuBefore, before] = [cpuMillis(), performance.now()];
    await load(server, LOAD);
    const share = (cpuMillis() - cpuBefore) / (performance.now() - before);
    server.child.disconnect();
    console.log(`${mode} under HTTP load: the watchdog's thread takes ${percent(share)} of a core`);
  }
}

async function underLoad() {
  const process_ = fork(new URL(import.meta.url), ['server'], { execArgv: ['--expose-gc'] });
  const [{ port }] = await once(process_, 'message');
  const load = autocannon({ url: `http://127.0.0.1:${port}/`, connections: 10, duration: 3_600, timeout: 60 });
  const ask = async () => {
    process_.send('');
    const [answer] = await once(process_, 'message');
    return answer;
  };
  let answer = await ask();
  let heapBefore;
  while (answer.sessions < LOOKS) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    answer = await ask();
    if (answer.sessions >= LOOKS / 10) heapBefore ??= answer.heap;
  }
  load.stop();
  const { errors, non2xx, requests } = await load;
  process_.disconnect();
  console.log(`${answer.sessions} sessions under HTTP load, ${requests.total} requests:`);
  console.log(
    `  ${errors + non2xx} failed, ${answer.lost} lost their context, ${answer.blocked} of them were to block,`,
  );
  console.log(`  ${answer.blamed} were blamed, ${answer.accused} others were`);
  console.log(`  heap ${megabytes(heapBefore)} after a tenth, ${megabytes(answer.heap)} at the end`);
}

/** One request in twenty blocks for 15 ms, after an `await`; each looks afterwards whether its context is still there. */
async function server() {
  const { AsyncLocalStorage } = await import('node:async_hooks');
  const { createRequire } = await import('node:module');
  const { trace } = await import('@opentelemetry/api');
  const { HttpInstrumentation } = await import('@opentelemetry/instrumentation-http');
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const { EventLoopInstrumentation } = await import('opentelemetry-instrumentation-event-loop');
  const blocking = new WeakSet();
  const state = { blocked: 0, blamed: 0, accused: 0, lost: 0 };
  const instrumentation = new EventLoopInstrumentation({
    attribution: modes[0],
    blockThresholdMillis: 10,
    delayIntervalMillis: 5,
    maxBlocksPerMinute: 1_000_000,
    blockHook: (block) => {
      for (const { span } of block.blamed) {
        if (blocking.has(span)) state.blamed++;
        // Neither nobody, nor whoever ran when the machine gave us no core.
        else if (span !== undefined && block.cause === 'cpu') state.accused++;
      }
    },
  });
  const sdk = new NodeSDK({
    instrumentations: [new HttpInstrumentation(), instrumentation],
    spanProcessors: [{ onStart() {}, onEnd() {}, forceFlush: async () => {}, shutdown: async () => {} }],
    metricReaders: [],
    logRecordProcessors: [],
  });
  sdk.start();
  const http = createRequire(import.meta.url)('node:http');
  const storage = new AsyncLocalStorage();
  let requests = 0;
  const handle = async (response) => {
    const id = storage.getStore();
    const span = trace.getActiveSpan();
    await new Promise((resolve) => setImmediate(resolve));
    if (id % 20 === 0) {
      blocking.add(span);
      state.blocked++;
      block(15);
    }
    await new Promise((resolve) => setImmediate(resolve));
    if (storage.getStore() !== id || trace.getActiveSpan() !== span) state.lost++;
    response.end();
  };
  const listening = http.createServer((_, response) => storage.run(++requests, handle, response));
  listening.listen(0, '127.0.0.1', () => process.send({ port: listening.address().port }));
  process.on('message', () => {
    process.send({ ...state, sessions: looks(), heap: heap() });
  });
  process.on('disconnect', () => process.exit());
}

async function run(kind, state) {
  const process_ = fork(new URL(import.meta.url), ['child', kind, state], { execArgv: ['--expose-gc'] });
  const [message] = await once(process_, 'message');
  process_.disconnect();
  return message;
}

async function child(kind, state) {
  process.on('disconnect', () => process.exit());
  const { NodeTracerProvider } = await import('@opentelemetry/sdk-trace-node');
  const { trace } = await import('@opentelemetry/api');
  const { EventLoopInstrumentation } = await import('opentelemetry-instrumentation-event-loop');
  const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
  new NodeTracerProvider().register();
  let blamed = 0;
  const options = {
    'without watchdog': { attribution: 'exact', watchdog: false },
    blocks: {
      attribution: modes[0],
      blockThresholdMillis: 10,
      delayIntervalMillis: 5,
      blockHook: (block) => {
        if (block.location?.frame.functionName === 'block') blamed++;
      },
    },
  };
  if (kind !== 'otel') {
    new EventLoopInstrumentation({ maxBlocksPerMinute: 1_000_000, ...(options[kind] ?? { attribution: kind }) });
  }
  await sleep(1_000);
  if (kind === 'blocks') {
    const tracer = trace.getTracer('benchmark');
    let heapBefore = 0;
    for (let i = 0; i < BLOCKS; i++) {
      tracer.startActiveSpan('blocks', (span) => {
        block(15);
        span.end();
      });
      await sleep(1);
      if (i === BLOCKS / 10) heapBefore = heap();
    }
    await sleep(100);
    process.send({ blamed, sessions: looks(), heapBefore, heapAfter: heap() });
    return;
  }
  if (state === 'awake') setInterval(() => {}, WAKE_MILLIS);
  const sessionsBefore = looks();
  const before = process.cpuUsage();
  await sleep(SECONDS * 1_000);
  const { user, system } = process.cpuUsage(before);
  const sessions = looks() - sessionsBefore;
  process.send({ cpu: (user + system) / 1e6 / SECONDS, rss: process.memoryUsage.rss(), sessions });
}

function block(millis) {
  const until = performance.now() + millis;
  while (performance.now() < until);
}

function heap() {
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

function percent(share) {
  return `${(share * 100).toFixed(2)} %`;
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
