// SPDX-License-Identifier: Apache-2.0
// The thread that prints labels, one after the other.
import { workerData } from 'node:worker_threads';
import { EMPTY } from './place.mjs';

const PRINTING_MILLIS = 20;
const { state, bytes } = workerData;
const pause = new Int32Array(new SharedArrayBuffer(4));

for (;;) {
  Atomics.wait(state, 0, EMPTY);
  const parcel = JSON.parse(Buffer.from(bytes.buffer).toString('utf8', 0, Atomics.load(state, 1)));
  Atomics.store(state, 0, EMPTY);
  Atomics.notify(state, 0);
  print(parcel);
}

/** A parcel without an address is what nobody had thought of. */
function print({ address }) {
  const lines = address.split(', ');
  Atomics.wait(pause, 0, 0, PRINTING_MILLIS * lines.length);
}
