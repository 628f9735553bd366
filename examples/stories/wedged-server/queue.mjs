// SPDX-License-Identifier: Apache-2.0
// As it was written: whoever puts waits, synchronously, until the place is free.
import { Worker } from 'node:worker_threads';
import { FULL, places } from './place.mjs';

export class Queue {
  #place = places();
  #thread;

  constructor(file) {
    // `execArgv`: the SDK of the main thread is not wanted in there.
    this.#thread = new Worker(file, { workerData: this.#place, execArgv: [] });
    this.#thread.unref();
    this.#thread.on('error', (error) => console.error(`label thread died: ${error.message}`));
  }

  put(job) {
    const { state, bytes } = this.#place;
    while (Atomics.load(state, 0) === FULL) {
      Atomics.wait(state, 0, FULL);
    }
    Atomics.store(state, 1, Buffer.from(bytes.buffer).write(JSON.stringify(job)));
    Atomics.store(state, 0, FULL);
    Atomics.notify(state, 0);
  }

  close() {
    this.#thread.terminate();
  }
}
