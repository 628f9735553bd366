// SPDX-License-Identifier: Apache-2.0
// Blocks its loop in seeded, labelled ways, each time when nothing has been late for a while, and says what it did and what
// became of its spans. Each span has a name of its own; whatever runs for long is a labelled piece.
'use strict';
const { fork, execSync } = require('node:child_process');
const { pbkdf2Sync } = require('node:crypto');
const fs = require('node:fs');
const { join } = require('node:path');
const { performance } = require('node:perf_hooks');
const { context, ROOT_CONTEXT, trace } = require('@opentelemetry/api');
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');
const { NodeSDK } = require('@opentelemetry/sdk-node');
const { InMemorySpanExporter, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-node');
const { EventLoopInstrumentation } = require('opentelemetry-instrumentation-event-loop');
const { following, settle, sleep, started } = require('../../test/fixtures/internals.cjs');

const THRESHOLD_MILLIS = 50;
/** Blocks take this many times the threshold, the shorter ones more often. */
const SHORTEST = 1;
const LONGEST = 6;
/** In a shared block, each span stays so far below the threshold, and the first so far ahead of the second. */
const CLEAR_MILLIS = 5;
/** So many slices each span of a shared block has. */
const SLICES = 2;

const { attribution, seed, blocks: BLOCKS } = JSON.parse(process.argv[2]);
const isOnDemand = attribution === 'on-demand';

const exporter = new InMemorySpanExporter();
new NodeSDK({
  instrumentations: [
    new HttpInstrumentation({ ignoreOutgoingRequestHook: () => true }),
    new EventLoopInstrumentation({ attribution, maxBlocksPerMinute: 1_000_000 }),
  ],
  spanProcessors: [new SimpleSpanProcessor(exporter)],
  metricReaders: [],
  logRecordProcessors: [],
}).start();
const http = require('node:http');
const tracer = trace.getTracer('accuracy');
const now = performance.now.bind(performance);
const { nodeTiming } = performance;
const immediate = () => new Promise((resolve) => setImmediate(resolve));

/** mulberry32 */
function randomFrom(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
const random = randomFrom(seed);
/** Requests come when they come: what they draw changes nothing about the blocks. */
const randomInBackground = randomFrom(-seed);

/** How long this thread stood ready without a core so far, in ms; 0 where the operating system does not tell. */
const schedstat = fs.existsSync('/proc/thread-self/schedstat') ? fs.openSync('/proc/thread-self/schedstat') : undefined;
const text = Buffer.alloc(128);
function runQueue() {
  if (schedstat === undefined) return 0;
  return Number(text.toString('latin1', 0, fs.readSync(schedstat, text, 0, text.length, 0)).split(' ')[1]) / 1e6;
}

/** What ran, in which iteration, and for how long, by the clock and without a core. */
const pieces = [];
/** What was asked for, and how long this thread had stood ready without a core right before and behind it. */
const plans = [];
let plan;
function piece(label, work) {
  if (plan !== undefined && !label.startsWith('background')) plan.wasOn ??= isOnDemand && following().isOn;
  const queuedBefore = runQueue();
  const turn = nodeTiming.uvMetricsInfo.loopCount;
  const start = now();
  work();
  const end = now();
  pieces.push({ label, turn, start, end, queuedBefore, queuedAfter: runQueue() });
}

const word = new Int32Array(new SharedArrayBuffer(4));
function spin(millis) {
  const until = now() + millis;
  while (now() < until);
}
const compute = (label, millis) => piece(label, () => spin(millis));
const waitFor = (label, millis) => piece(label, () => Atomics.wait(word, 0, 0, millis));
const runChild = (label, millis) => piece(label, () => execSync(`sleep ${(millis / 1000).toFixed(4)}`));
let roundsPerMilli = 0;
const hash = (label, millis) =>
  piece(label, () => pbkdf2Sync('a', 'b', Math.ceil(millis * 1.05 * roundsPerMilli), 32, 'sha256'));

let count = 0;
const nameOf = (kind) => `${kind} #${++count}`;
/** Runs `work(name)` in a span of its own, which ends with it. */
function span(kind, work) {
  const name = nameOf(kind);
  return tracer.startActiveSpan(name, async (current) => {
    try {
      await work(name, current);
    } finally {
      current.end();
    }
  });
}
const root = (kind, work) => context.with(ROOT_CONTEXT, span, undefined, kind, work);

/** Ways to come back to the loop: each has all of `slices` called in one iteration, as callbacks of their own spans. */
const ways = {
  timer: (slices) => {
    const millis = 1 + Math.floor(random() * 20);
    for (const slice of slices) context.with(slice.context, setTimeout, undefined, slice.run, millis);
  },
  immediate: (slices) => {
    for (const slice of slices) context.with(slice.context, setImmediate, undefined, slice.run);
  },
  file: (slices) => {
    for (const slice of slices) context.with(slice.context, fs.stat, undefined, __filename, slice.run);
    // All of them are done when the loop polls.
    spin(4);
  },
};

/** One span that comes back in `way` and then does `work`. */
const single = (way, work) => (kind, millis) =>
  root(
    kind,
    (name) =>
      new Promise((resolve) => ways[way]([{ context: context.active(), run: () => resolve(work(name, millis)) }])),
  );

/** Lengths of what two or three spans do in turns: all of them below the threshold, one of them clearly ahead. */
function turnsOf(asked) {
  const spans = random() < 0.5 ? 2 : 3;
  const most = THRESHOLD_MILLIS - CLEAR_MILLIS;
  const millis = Math.min(asked, spans * most * 0.9);
  for (;;) {
    const weights = Array.from({ length: spans }, () => 0.3 + random());
    const sum = weights.reduce((a, b) => a + b, 0);
    const lengths = weights.map((weight) => (millis * weight) / sum);
    const [first, second] = [...lengths].sort((a, b) => b - a);
    if (first <= most && first - second >= Math.min(CLEAR_MILLIS, millis / 10)) return lengths;
  }
}

/** Two or three spans, each with callbacks of its own, which come in turns. */
const shared = (way, work) => async (kind, asked) => {
  const slices = [];
  const spans = turnsOf(asked).map((millis) =>
    root(kind, (name) => {
      let left = SLICES;
      return new Promise((resolve) => {
        const run = () => {
          work(name, millis / SLICES);
          if (--left === 0) resolve();
        };
        slices.push({ context: context.active(), run });
      });
    }),
  );
  ways[way](Array.from({ length: SLICES }, () => slices).flat());
  await Promise.all(spans);
};

/** The same by promise jobs alone, of awaits that begin in the block itself. */
const sharedJobs = (kind, asked) =>
  new Promise((resolve) => {
    const lengths = turnsOf(asked);
    setImmediate(() => {
      const spans = lengths.map((millis) =>
        root(kind, async (name) => {
          for (let i = 0; i < SLICES; i++) {
            await undefined;
            compute(name, millis / SLICES);
          }
        }),
      );
      resolve(Promise.all(spans));
    });
  });

/** Spans that have been waiting for one promise since long before, each of which goes on for `lengths[i]`. */
async function awaitedBefore(kind, lengths, slices) {
  let open;
  const gate = new Promise((resolve) => {
    open = resolve;
  });
  const spans = lengths.map((millis) =>
    root(kind, async (name) => {
      await gate;
      for (let i = 0; i < slices; i++) {
        compute(name, millis / slices);
        await undefined;
      }
    }),
  );
  await sleep(20 + random() * 40);
  await immediate();
  open();
  await Promise.all(spans);
}

const kinds = {
  timer: single('timer', compute),
  immediate: single('immediate', compute),
  'poll: file': single('file', compute),
  'poll: request': (_kind, millis) => requested(millis),
  'promise job': (kind, millis) =>
    root(kind, async (name) => {
      await immediate();
      await undefined;
      compute(name, millis);
      await undefined;
    }),
  'many promise jobs': (kind, millis) =>
    root(kind, async (name) => {
      await immediate();
      for (let i = 0; i < 20; i++) {
        compute(name, millis / 20);
        await undefined;
      }
    }),
  'awaited before': (kind, millis) => awaitedBefore(kind, [millis], 1),
  'execSync in a timer': single('timer', runChild),
  'execSync, awaited': (kind, millis) =>
    root(kind, async (name) => {
      await sleep(random() * 10);
      runChild(name, millis);
    }),
  'Atomics.wait in a poll': single('file', waitFor),
  'one native call': single('immediate', hash),
  "behind another's": async (kind, millis) => {
    // Together in one iteration, and only the second one reaches the threshold.
    const spans = [5 + random() * 25, millis].map((length) =>
      root(kind, (name) => new Promise((resolve) => setImmediate(() => resolve(compute(name, length))))),
    );
    await Promise.all(spans);
  },
  'two at once': async (kind, millis) => {
    const long = THRESHOLD_MILLIS + CLEAR_MILLIS;
    const spans = [long + millis / 4, long + millis / 8].map((length) =>
      root(kind, (name) => new Promise((resolve) => setImmediate(() => resolve(compute(name, length))))),
    );
    await Promise.all(spans);
  },
  'ends inside': (kind, millis) =>
    new Promise((resolve) => {
      setTimeout(() => {
        const name = nameOf(kind);
        const current = tracer.startSpan(name, {}, ROOT_CONTEXT);
        context.with(trace.setSpan(ROOT_CONTEXT, current), () => {
          compute(name, millis);
          current.end();
        });
        resolve();
      }, random() * 10);
    }),
  'no span': (_kind, millis) =>
    context.with(ROOT_CONTEXT, async () => {
      await sleep(random() * 10);
      compute('(no span)', millis);
    }),
  'shared: timers': shared('timer', compute),
  'shared: immediates': shared('immediate', compute),
  'shared: poll': shared('file', compute),
  'shared: promise jobs': sharedJobs,
  'shared: awaited before': (kind, millis) => awaitedBefore(kind, turnsOf(millis), SLICES),
  'shared: Atomics.wait': shared('immediate', waitFor),
  'shared: one family': (kind, millis) =>
    root(kind, async () => {
      await immediate();
      for (const length of turnsOf(millis)) span(`${kind}, child`, async (name) => compute(name, length));
    }),
};

let requested;
/** A block in the handler of a request. */
function serve(client) {
  requested = (millis) =>
    new Promise((resolve) => {
      handler = (label) => {
        compute(label, millis);
        resolve();
      };
      client().send({ path: '/block' });
    });
  let handler;
  return http.createServer(async (request, response) => {
    const current = trace.getActiveSpan();
    const name = nameOf(request.url === '/block' ? 'poll: request' : 'background');
    current.updateName(name);
    if (request.url === '/block') {
      handler(name);
    } else {
      compute(name, randomInBackground() * 0.5);
      await immediate();
      compute(name, randomInBackground() * 0.5);
      await sleep(randomInBackground() * 10);
      compute(name, randomInBackground() * 0.5);
    }
    response.end('hello');
  });
}

/** Nothing has been late for a while, and no hook is on. */
async function healthy() {
  await sleep(60 + random() * 60);
  for (let i = 0; isOnDemand && following().isOn && i < 1_000; i++) await sleep(5);
}

async function main() {
  let client;
  const server = serve(() => client).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  client = fork(join(__dirname, 'client.mjs'), [String(server.address().port)], { execArgv: [] });
  await started();
  await sleep(300);
  // Every kind once, so that nothing is loaded or compiled for the first time in a block.
  roundsPerMilli = 1;
  for (const kind of Object.values(kinds)) await context.with(ROOT_CONTEXT, kind, undefined, 'warm-up', 1);
  const from = now();
  pbkdf2Sync('a', 'b', 20_000, 32, 'sha256');
  roundsPerMilli = 20_000 / (now() - from);
  await sleep(200);
  await settle();
  exporter.reset();
  pieces.length = 0;

  const names = Object.keys(kinds);
  for (let i = 0; i < BLOCKS; i++) {
    if (i === Math.ceil(BLOCKS / 2)) client.send({ background: true });
    await healthy();
    const kind = names[i % names.length];
    const times = SHORTEST * (LONGEST / SHORTEST) ** random();
    const planned = { kind, background: i >= Math.ceil(BLOCKS / 2), queuedBefore: runQueue(), from: now() };
    await context.with(ROOT_CONTEXT, async () => {
      plan = planned;
      await kinds[kind](kind, times * THRESHOLD_MILLIS);
      plan = undefined;
    });
    plans.push({ ...planned, to: now(), queuedAfter: runQueue() });
  }
  client.send({ background: false });
  await sleep(300);
  await settle();
  client.disconnect();
  const { ons, offs } = isOnDemand ? following() : {};
  const spans = exporter.getFinishedSpans().map(plainSpan);
  const wallClockOffset = Date.now() - now();
  process.send({ version: process.version, attribution, pieces, plans, spans, wallClockOffset, ons, offs }, () =>
    process.exit(),
  );
}

const millisOf = ([seconds, nanos]) => seconds * 1e3 + nanos / 1e6;
function plainSpan(current) {
  return {
    name: current.name,
    spanId: current.spanContext().spanId,
    parentSpanId: current.parentSpanContext?.spanId,
    startTime: millisOf(current.startTime),
    endTime: millisOf(current.endTime),
    attributes: Object.fromEntries(
      Object.entries(current.attributes).filter(([name]) => name.startsWith('eventloop.')),
    ),
    links: current.links.map((link) => link.context.spanId),
  };
}

main();
