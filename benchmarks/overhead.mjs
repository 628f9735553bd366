// SPDX-License-Identifier: Apache-2.0
// CPU per request of a hello-world server: OpenTelemetry alone against OpenTelemetry and this package.
// The servers run at once and take short turns under the same load, so that a slow moment of the machine hits them all.
import { cpuPerRequest, load, median, quantile, spread, start } from './hello.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 100);
const REQUESTS = Number(process.env.REQUESTS ?? 2000);
const TARGET = Number(process.versions.node.split('.')[0]) >= 24 ? 1.1 : 1.2;

const modes = (process.env.MODES ?? 'otel,event-loop').split(',');
const servers = await Promise.all(modes.map(async (mode) => ({ mode, micros: [], ...(await start(mode)) })));

for (const server of servers) await load(server);
const rounds = [];
for (let round = 0; round < ROUNDS; round++) {
  const order = round % 2 === 0 ? servers : [...servers].reverse();
  for (const server of order) server.micros.push(await cpuPerRequest(server, REQUESTS));
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
