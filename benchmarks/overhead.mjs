// SPDX-License-Identifier: Apache-2.0
// CPU per request of a hello-world server: OpenTelemetry alone against OpenTelemetry and this package.
// The servers run at once and take short turns under the same load, so that a slow moment of the machine hits them all.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import autocannon from 'autocannon';

const ROUNDS = Number(process.env.ROUNDS ?? 100);
const REQUESTS = Number(process.env.REQUESTS ?? 2000);
/** Until V8 has optimised what it will. */
const WARM_UP = 40_000;
const TARGET = Number(process.versions.node.split('.')[0]) >= 24 ? 1.1 : 1.2;

const modes = (process.env.MODES ?? 'otel,event-loop').split(',');
const servers = await Promise.all(modes.map(start));

for (const server of servers) await load(server, WARM_UP);
const rounds = [];
for (let round = 0; round < ROUNDS; round++) {
  const order = round % 2 === 0 ? servers : [...servers].reverse();
  for (const server of order) server.micros.push(await cpuPerRequest(server));
  const [base, ...others] = servers.map((server) => server.micros[round]);
  rounds.push(others.map((micros) => micros / base));
  process.stderr.write(`\rround ${round + 1}/${ROUNDS}`);
}
process.stderr.write('\n');

console.log(`Node.js ${process.version}, ${ROUNDS} interleaved rounds of ${REQUESTS} requests, CPU per request:`);
for (const { mode, micros } of servers) console.log(`  ${mode.padEnd(12)} ${spread(micros, ' µs', 2)}`);
for (const [i, mode] of modes.slice(1).entries()) {
  const ratios = rounds.map((round) => round[i]);
  const verdict = median(ratios) <= TARGET ? 'within' : 'OVER';
  console.log(`  ${mode} / ${modes[0]}: ${spread(ratios, '', 3)} — ${verdict} the target of ${TARGET.toFixed(2)}`);
  // Other processes can only add to it: where they do, this says more than the median.
  const quietest = quantile(servers[i + 1].micros, 0.1) / quantile(servers[0].micros, 0.1);
  console.log(`    in the quietest tenth of the rounds of each: ${quietest.toFixed(3)}`);
}
for (const { child } of servers) child.disconnect();

async function start(mode) {
  const child = fork(new URL('./hello-server.mjs', import.meta.url), {
    env: { ...process.env, MODE: mode, OTEL_NODE_RESOURCE_DETECTORS: 'none' },
    execArgv: ['--expose-gc'],
  });
  const [{ port }] = await once(child, 'message');
  return { mode, child, url: `http://127.0.0.1:${port}/`, micros: [] };
}

async function load({ url }, amount) {
  const result = await autocannon({ url, amount, connections: 10, sampleInt: 20 });
  if (result.non2xx || result.errors) throw new Error(`${result.non2xx} bad answers, ${result.errors} errors`);
}

async function cpuPerRequest(server) {
  const before = await cpuMicros(server);
  await load(server, REQUESTS);
  return ((await cpuMicros(server)) - before) / REQUESTS;
}

async function cpuMicros({ child }) {
  child.send({});
  const [message] = await once(child, 'message');
  return message.cpuMicros;
}

function median(values) {
  return quantile(values, 0.5);
}

function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.ceil(at);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

function spread(values, unit, digits) {
  const low = quantile(values, 0.25).toFixed(digits);
  const high = quantile(values, 0.75).toFixed(digits);
  return `median ${median(values).toFixed(digits)}${unit} (half of them ${low} to ${high})`;
}
