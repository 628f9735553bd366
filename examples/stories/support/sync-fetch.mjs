// SPDX-License-Identifier: Apache-2.0
// A synchronous HTTP client, made as those on npm are: a thread fetches, and the caller stands still until it has.
import { Worker } from 'node:worker_threads';

const MAX_BYTES = 64 * 1024;
const state = new Int32Array(new SharedArrayBuffer(8));
const bytes = new Uint8Array(new SharedArrayBuffer(MAX_BYTES));
let thread;

/** The body of what is there, as text. */
export function syncFetch(url) {
  thread ??= start();
  Atomics.store(state, 0, 0);
  thread.postMessage(url);
  Atomics.wait(state, 0, 0);
  return Buffer.from(bytes.buffer).toString('utf8', 0, state[1]);
}

function start() {
  const worker = new Worker(new URL('./sync-fetch-thread.mjs', import.meta.url), {
    workerData: { state, bytes },
    execArgv: [],
  });
  worker.unref();
  return worker;
}
