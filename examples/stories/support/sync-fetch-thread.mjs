// SPDX-License-Identifier: Apache-2.0
import { parentPort, workerData } from 'node:worker_threads';

const { state, bytes } = workerData;

parentPort.on('message', async (url) => {
  const text = await fetch(url).then((response) => response.text());
  Atomics.store(state, 1, Buffer.from(bytes.buffer).write(text));
  Atomics.store(state, 0, 1);
  Atomics.notify(state, 0);
});
