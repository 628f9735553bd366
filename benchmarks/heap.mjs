// SPDX-License-Identifier: Apache-2.0
// The heap of the hello-world server with this package, after a warm-up and a million requests later.
import { ask, load, start } from './hello.mjs';

const REQUESTS = Number(process.env.REQUESTS ?? 1_000_000);
const STEPS = 10;

const server = await start('event-loop');

await load(server, REQUESTS / STEPS);
const before = await heapMegabytes();
console.log(`Node.js ${process.version}, after ${REQUESTS / STEPS} requests: ${before.toFixed(2)} MB`);
for (let step = 1; step <= STEPS; step++) {
  await load(server, REQUESTS / STEPS);
  console.log(`  ${(step * REQUESTS) / STEPS} requests later: ${(await heapMegabytes()).toFixed(2)} MB`);
}
const grown = (await heapMegabytes()) - before;
console.log(`grown by ${grown.toFixed(2)} MB — ${grown < 1 ? 'the heap is where it was' : 'LEAK?'}`);
server.child.disconnect();
process.exitCode = grown < 1 ? 0 : 1;

async function heapMegabytes() {
  return (await ask(server, { collect: true })).heapUsed / 1e6;
}
