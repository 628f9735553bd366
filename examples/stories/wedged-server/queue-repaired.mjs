// SPDX-License-Identifier: Apache-2.0
// Repaired: whoever puts awaits the place, for so long and no longer, and learns at once that the thread has died.
import { Worker } from 'node:worker_threads';
import { EMPTY, FULL, places } from './place.mjs';

const PUT_LIMIT_MILLIS = 250;

/** fastify answers 503, so that clients know to come again. */
class Unavailable extends Error {
  statusCode = 503;
  headers = { 'retry-after': '1' };
}

export class Queue {
  #place = places();
  #file;
  #thread;
  #generation = 0;
  #isClosed = false;

  constructor(file) {
    this.#file = file;
    this.#start();
  }

  async put(job) {
    const { state, bytes } = this.#place;
    const deadline = performance.now() + PUT_LIMIT_MILLIS;
    const generation = this.#generation;
    while (Atomics.load(state, 0) === FULL) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Unavailable('the label printer is busy');
      await Atomics.waitAsync(state, 0, FULL, left).value;
      if (generation !== this.#generation) throw new Unavailable('the label printer is starting again');
    }
    Atomics.store(state, 1, Buffer.from(bytes.buffer).write(JSON.stringify(job)));
    Atomics.store(state, 0, FULL);
    Atomics.notify(state, 0);
  }

  close() {
    this.#isClosed = true;
    this.#thread.terminate();
  }

  #start() {
    this.#thread = new Worker(this.#file, { workerData: this.#place, execArgv: [] });
    this.#thread.unref();
    this.#thread.on('error', (error) => console.error(`label thread died: ${error.message}`));
    // The watch: nobody goes on to wait for a thread that is not there, and there is soon another.
    this.#thread.on('exit', () => {
      if (this.#isClosed) return;
      const { state } = this.#place;
      this.#generation++;
      Atomics.store(state, 0, EMPTY);
      Atomics.notify(state, 0);
      this.#start();
    });
  }
}
