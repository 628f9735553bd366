// SPDX-License-Identifier: Apache-2.0
// The least that names the span which blocked: what is left of this package without stalled spans, hangs, causes, pooled
// connections, native time, and spans that end inside their own block. For the overhead, as the floor (MODES=lean), and with
// hooks that do nothing (MODES=empty), both on Node.js 24 and 26; and a thread that does nothing (MODES=worker), which is what any
// watchdog costs.
import { createHook, executionAsyncResource } from 'node:async_hooks';
import { performance } from 'node:perf_hooks';
import { promiseHooks } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { context, trace } from '@opentelemetry/api';

const now = performance.now.bind(performance);
const { nodeTiming } = performance;
const THRESHOLD_MILLIS = 50;

/** What starts each, by its mode. */
export const FLOORS = { lean: startLean, empty: startEmpty, worker: startWorker };

function startEmpty() {
  createHook({ before() {}, trackPromises: false }).enable();
  promiseHooks.onBefore(() => {});
}

function startWorker() {
  new Worker('setInterval(() => {}, 1e6)', { eval: true, execArgv: [] }).unref();
}

function startLean() {
  const storage = context._getContextManager()._asyncLocalStorage;
  const shares = new Map();
  let active;
  let since = now();
  let idle = nodeTiming.idleTime;
  let count = nodeTiming.uvMetricsInfo.loopCount;

  function charge(time) {
    const span = active && trace.getSpan(active);
    shares.set(span, (shares.get(span) ?? 0) + time - since);
    since = time;
  }
  function enter(next) {
    if (next === active) return;
    charge(now());
    active = next;
  }
  function turn() {
    const time = now();
    const idled = nodeTiming.idleTime - idle;
    idle += idled;
    charge(time - idled);
    since = time;
    for (const [span, millis] of shares) {
      if (millis >= THRESHOLD_MILLIS) console.error(`${millis} ms in ${span?.name}`);
    }
    shares.clear();
  }

  const enterWith = storage.enterWith;
  storage.enterWith = function (store) {
    enterWith.call(this, store);
    enter(store);
  };
  createHook({
    trackPromises: false,
    before() {
      if (executionAsyncResource().constructor !== Object && nodeTiming.uvMetricsInfo.loopCount !== count) {
        count = nodeTiming.uvMetricsInfo.loopCount;
        turn();
      }
      enter(storage.getStore());
    },
  }).enable();
  promiseHooks.onBefore(() => enter(storage.getStore()));
}
