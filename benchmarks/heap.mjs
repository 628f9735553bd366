// SPDX-License-Identifier: Apache-2.0
// The heap of the hello-world server with this package, after a warm-up and a million requests later.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import autocannon from 'autocannon';

const REQUESTS = Number(process.env.REQUESTS ?? 1_000_000);
const STEPS = 10;

const child = fork(new URL('./hello-server.mjs', import.meta.url), {
  env: { ...process.env, MODE: 'event-loop', OTEL_NODE_RESOURCE_DETECTORS: 'none' },
  execArgv: ['--expose-gc'],
});
const [{ port }] = await once(child, 'message');
const load = (amount) => autocannon({ url: `http://127.0.0.1:${port}/`, amount, connections: 10 });

await load(REQUESTS / STEPS);
const before = await heapMegabytes();
console.log(`Node.js ${process.version}, after ${REQUESTS / STEPS} requests: ${before.toFixed(2)} MB`);
for (let step = 1; step <= STEPS; step++) {
  await load(REQUESTS / STEPS);
  console.log(`  ${(step * REQUESTS) / STEPS} requests later: ${(await heapMegabytes()).toFixed(2)} MB`);
}
const grown = (await heapMegabytes()) - before;
console.log(`grown by ${grown.toFixed(2)} MB — ${grown < 1 ? 'the heap is where it was' : 'LEAK?'}`);
child.disconnect();
process.exitCode = grown < 1 ? 0 : 1;

async function heapMegabytes() {
  child.send({ collect: true });
  const [message] = await once(child, 'message');
  return message.heapUsed / 1e6;
}
