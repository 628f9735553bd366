// SPDX-License-Identifier: Apache-2.0
// CPU per request of a hello-world server: OpenTelemetry alone against OpenTelemetry and this package.
// The servers run at once and take short turns under the same load, so that a slow moment of the machine hits them all.
// V8 does not optimise two processes alike: PROCESSES of each kind, a round's value is their mean.
import { cpuPerRequest, load, median, quantile, spread, start, WARM_UP } from './hello.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 100);
const REQUESTS = Number(process.env.REQUESTS ?? 2000);
const PROCESSES = Number(process.env.PROCESSES ?? 1);
const TARGET = Number(process.versions.node.split('.')[0]) >= 24 ? 1.1 : 1.2;

const modes = (process.env.MODES ?? 'otel,event-loop').split(',');
const servers = [];
for (let i = 0; i < PROCESSES; i++) for (const mode of modes) servers.push({ mode, ...(await start(mode)) });

// In turns as well: one that has nothing to do for seconds, V8 cleans up, and has to optimise anew, not always as well.
for (let done = 0; done < WARM_UP; done += REQUESTS) for (const server of servers) await load(server, REQUESTS);
/** Of each round, the CPU of a request in each mode. */
const rounds = [];
for (let round = 0; round < ROUNDS; round++) {
  const micros = new Map(modes.map((mode) => [mode, 0]));
  for (const server of round % 2 === 0 ? servers : [...servers].reverse()) {
    const { mode } = server;
    micros.set(mode, micros.get(mode) + (await cpuPerRequest(server, REQUESTS)) / PROCESSES);
  }
  rounds.push(micros);
  process.stderr.write(`\rround ${round + 1}/${ROUNDS}`);
}
process.stderr.write('\n');

const [base, ...others] = modes;
const microsOf = (mode) => rounds.map((micros) => micros.get(mode));
console.log(
  `Node.js ${process.version}, ${ROUNDS} interleaved rounds of ${REQUESTS} requests to ${PROCESSES} processes of each kind, CPU per request:`,
);
for (const mode of modes) console.log(`  ${mode.padEnd(12)} ${spread(microsOf(mode), ' µs', 2)}`);
for (const mode of others) {
  const ratios = rounds.map((micros) => micros.get(mode) / micros.get(base));
  const target = mode === 'sampled' ? 1.02 : TARGET;
  const verdict = median(ratios) <= target ? 'within' : 'OVER';
  console.log(`  ${mode} / ${base}: ${spread(ratios, '', 3)} — ${verdict} the target of ${target.toFixed(2)}`);
  // Other processes can only add to it: where they do, this says more than the median.
  const quietest = quantile(microsOf(mode), 0.1) / quantile(microsOf(base), 0.1);
  console.log(`    in the quietest tenth of the rounds of each: ${quietest.toFixed(3)}`);
}
for (const { child } of servers) child.disconnect();
