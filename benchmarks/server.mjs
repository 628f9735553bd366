// SPDX-License-Identifier: Apache-2.0
// What the servers of the benchmarks have in common. MODE=otel: OpenTelemetry alone. MODE=event-loop: and this package, with
// its defaults; MODE=on-demand, MODE=exact and so on: with that attribution; MODE=exact@../before: what was built in that
// checkout, as a change is held against what was before it.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import { trace } from '@opentelemetry/api';
import { FLOORS } from './lean.mjs';

const { following } = createRequire(import.meta.url)('../test/fixtures/internals.cjs');

/** Modes without this package. */
const WITHOUT = ['otel', ...Object.keys(FLOORS)];
/** Long enough to be a block, and to be looked at before it is over. */
const CYCLE_MILLIS = 75;

const [MODE, checkout] = process.env.MODE.split('@');
const { EventLoopInstrumentation } = await import(
  checkout === undefined
    ? 'opentelemetry-instrumentation-event-loop'
    : pathToFileURL(resolve(checkout, 'dist/index.mjs')).href
);

// V8 collects the garbage of a process at rest, and has to optimise anew much of what it had optimised, only once something
// was allocated by cppgc (24, 26; `Heap::ComputeMutatorUtilization` takes none for a high rate): by one vm script or context,
// and on 26 by one inspector session, so by the first look. Here in all modes, or two kinds of process would be compared.
new Script('0');

/** The instrumentation that MODE asks for, if it does. */
export function ours() {
  if (WITHOUT.includes(MODE)) return [];
  return [new EventLoopInstrumentation(MODE === 'event-loop' ? {} : { attribution: MODE })];
}

export const discard = {
  export: (_spans, done) => done({ code: 0 }),
  shutdown: () => Promise.resolve(),
};

/** What was switched on and off so far, and whether it is on; undefined where nothing is. */
const switched = () => (MODE === 'on-demand' || MODE === 'event-loop' ? following() : undefined);

/** Blocks so often, each time when the loop has been healthy for a while. */
async function block(times) {
  const tracer = trace.getTracer('benchmark');
  for (let i = 0; i < times; i++) {
    tracer.startActiveSpan('block', (span) => {
      const until = performance.now() + CYCLE_MILLIS;
      while (performance.now() < until);
      span.end();
    });
    await sleep(30);
    for (let waited = 0; switched()?.isOn && waited < 2_000; waited += 5) await sleep(5);
  }
}

/**
 * Answers each message with its CPU time so far: after a collection, or after some blocks, where that is asked for.
 *
 * @param more returns what else is to be told.
 */
export function answer(more = () => ({})) {
  process.on('message', async ({ collect, cycles = 0 }) => {
    await block(cycles);
    if (collect) globalThis.gc?.();
    const { user, system } = process.cpuUsage();
    const { heapUsed } = process.memoryUsage();
    process.send({ cpuMicros: user + system, heapUsed, switched: switched(), ...more() });
  });
  process.on('disconnect', () => process.exit());
}
