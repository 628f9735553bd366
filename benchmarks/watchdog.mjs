// SPDX-License-Identifier: Apache-2.0
// What the watchdog costs a process that is healthy: CPU of worker and beats, and memory, against the same process
// without it. Then many blocks in a row: how often it looked, and whether memory grows.
import { fork } from 'node:child_process';
import { once } from 'node:events';

const SECONDS = Number(process.env.SECONDS ?? 20);
const BLOCKS = Number(process.env.BLOCKS ?? 3_000);

if (process.argv[2] === 'child') await child(process.argv[3]);
else await parent();

async function parent() {
  const results = {};
  // Side by side, so that a slow moment of the machine hits both.
  await Promise.all(
    ['off', 'on'].map(async (mode) => {
      results[mode] = await run(mode);
    }),
  );
  const { on, off } = results;
  console.log(`Node.js ${process.version}, idle for ${SECONDS} s, watchdog off and on:`);
  console.log(`  CPU  ${percent(off.cpu)} and ${percent(on.cpu)} of a core (on: at most 1 %)`);
  console.log(
    `  RSS  ${megabytes(off.rss)} and ${megabytes(on.rss)}: +${megabytes(on.rss - off.rss)} (at most +24 MB)`,
  );
  console.log(`  inspector sessions opened: ${on.sessions}`);
  const many = await run('blocks');
  console.log(`${BLOCKS} blocks of 15 ms in a row, ${many.blamed} of them with a stack, ${many.sessions} sessions:`);
  console.log(`  heap ${megabytes(many.heapBefore)} after a tenth, ${megabytes(many.heapAfter)} at the end`);
}

async function run(mode) {
  const process_ = fork(new URL(import.meta.url), ['child', mode], { execArgv: ['--expose-gc'] });
  const [message] = await once(process_, 'message');
  process_.disconnect();
  return message;
}

async function child(mode) {
  const { NodeTracerProvider } = await import('@opentelemetry/sdk-trace-node');
  const { trace } = await import('@opentelemetry/api');
  const { EventLoopInstrumentation } = await import('opentelemetry-instrumentation-event-loop');
  const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
  new NodeTracerProvider().register();
  let blamed = 0;
  const options =
    mode === 'blocks'
      ? {
          blockThresholdMillis: 10,
          delayIntervalMillis: 5,
          blockHook: (block) => {
            if (block.location?.frame.functionName === 'block') blamed++;
          },
        }
      : { watchdog: mode === 'on' };
  const instrumentation = new EventLoopInstrumentation({ maxBlocksPerMinute: 1_000_000, ...options });
  const sessions = () => instrumentation._watch._watchdog?.memory.slots[4];
  await sleep(1_000);
  if (mode === 'blocks') {
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
    process.send({ blamed, sessions: sessions(), heapBefore, heapAfter: heap() });
    return;
  }
  const before = process.cpuUsage();
  await sleep(SECONDS * 1_000);
  const { user, system } = process.cpuUsage(before);
  process.send({ cpu: (user + system) / 1e6 / SECONDS, rss: process.memoryUsage.rss(), sessions: sessions() });
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
