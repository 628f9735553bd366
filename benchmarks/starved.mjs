// SPDX-License-Identifier: Apache-2.0
// `npm run bench:starved`: a hello-world server that shares its core with two busy processes. How often hooks are switched
// on there, under a steady load and at rest, and what a request takes, against OpenTelemetry alone. Needs `taskset` and a
// second core for the client.
//   MODES=otel,on-demand,exact   see server.mjs
//   PROCESSES=3 ROUNDS=10 SECONDS=2 (of each turn) RATE=500 (requests a second) REST_SECONDS=30
//   TEST_NODE=…   Node.js binaries, with commas between them
import { execFileSync, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import autocannon from 'autocannon';
import { requireAttributions } from './attribution.mjs';
import { ask, load, median, NODES, spread, start, versionOf } from './hello.mjs';

const NEIGHBOURS = 2;
/** Busy for as long as it has a parent: also one that is killed leaves no noise behind. */
const BUSY = 'const parent = process.ppid; while (process.ppid === parent) for (let i = 0; i < 1e8; i++);';
const CORE = 0;
const CLIENTS_CORE = 1;

const modes = (process.env.MODES ?? 'otel,on-demand,exact').split(',');
const PROCESSES = Number(process.env.PROCESSES ?? 3);
const ROUNDS = Number(process.env.ROUNDS ?? 10);
const SECONDS = Number(process.env.SECONDS ?? 2);
const RATE = Number(process.env.RATE ?? 500);
const REST_SECONDS = Number(process.env.REST_SECONDS ?? 30);
const WARM_UP = Number(process.env.WARM_UP ?? 10_000);
requireAttributions(modes);
if (availableParallelism() < 2) throw new Error('needs a core for the client as well');

pin(process.pid, CLIENTS_CORE);
for (const node of NODES) await measure(node);

async function measure(node) {
  const servers = [];
  for (let i = 0; i < PROCESSES; i++)
    for (const mode of modes) servers.push({ mode, ...(await start(mode, { node })) });
  for (const server of servers) await load(server, WARM_UP);
  for (const { child } of servers) pin(child.pid, CORE);
  const neighbours = Array.from({ length: NEIGHBOURS }, () =>
    spawn(process.execPath, ['-e', BUSY], { stdio: 'ignore' }),
  );
  for (const { pid } of neighbours) pin(pid, CORE);
  try {
    const title = `Node.js ${versionOf(node)}, ${NEIGHBOURS} busy processes on the same core`;
    console.log(`${title}: ${ROUNDS} interleaved rounds of ${SECONDS} s at ${RATE} requests a second`);
    printLoaded(await loaded(servers));
    printAtRest(await atRest(servers));
  } finally {
    for (const neighbour of neighbours) neighbour.kill('SIGKILL');
    for (const { child } of servers) child.disconnect();
  }
}

/** Of each round and server, the CPU of a request in µs, and how often it was switched on a minute. */
async function loaded(servers) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    const turns = [];
    for (const server of round % 2 === 0 ? servers : [...servers].reverse()) {
      const { requests, cpuMicros, minutes, ons } = await during(server, async () => {
        const options = { url: server.url, connections: 10, duration: SECONDS, overallRate: RATE, timeout: 60 };
        const result = await autocannon(options);
        if (result.non2xx || result.errors) throw new Error(`${result.non2xx} bad answers, ${result.errors} errors`);
        return { requests: result.requests.total };
      });
      turns.push({ mode: server.mode, micros: cpuMicros / requests, onsPerMinute: ons / minutes });
    }
    rounds.push(turns);
    process.stderr.write(`\rround ${round + 1}/${ROUNDS}`);
  }
  process.stderr.write('\n');
  return rounds;
}

/** All at once: they do nothing. */
function atRest(servers) {
  return Promise.all(
    servers.map(async (server) => {
      const { cpuMicros, minutes, ons } = await during(server, () => sleep(REST_SECONDS * 1_000));
      return { mode: server.mode, share: cpuMicros / (minutes * 60e6), onsPerMinute: ons / minutes };
    }),
  );
}

async function during(server, work) {
  const before = await ask(server);
  const startedAt = performance.now();
  const result = await work();
  const minutes = (performance.now() - startedAt) / 60_000;
  const after = await ask(server);
  const ons = (after.switched?.ons ?? 0) - (before.switched?.ons ?? 0);
  return { ...result, cpuMicros: after.cpuMicros - before.cpuMicros, minutes, ons };
}

function printLoaded(rounds) {
  const [base, ...others] = modes;
  const meanOf = (turns, mode, key) => mean(turns.filter((turn) => turn.mode === mode).map((turn) => turn[key]));
  for (const mode of modes) {
    const micros = rounds.map((turns) => meanOf(turns, mode, 'micros'));
    const ons = rounds.map((turns) => meanOf(turns, mode, 'onsPerMinute'));
    const switched = hasSwitch(mode) ? `, switched on ${median(ons).toFixed(1)} times a minute` : '';
    console.log(`  ${mode.padEnd(12)} ${spread(micros, ' µs', 1)} of CPU a request${switched}`);
  }
  for (const mode of others) {
    const ratios = rounds.map((turns) => meanOf(turns, mode, 'micros') / meanOf(turns, base, 'micros'));
    console.log(`  ${mode} / ${base}: ${spread(ratios, '', 3)}`);
  }
}

function printAtRest(results) {
  console.log(`  at rest for ${REST_SECONDS} s:`);
  for (const mode of modes) {
    const own = results.filter((result) => result.mode === mode);
    const ons = mean(own.map(({ onsPerMinute }) => onsPerMinute));
    const switched = hasSwitch(mode) ? `, switched on ${ons.toFixed(1)} times a minute` : '';
    console.log(
      `    ${mode.padEnd(12)} ${(median(own.map(({ share }) => share)) * 100).toFixed(2)} % of a core${switched}`,
    );
  }
}

function hasSwitch(mode) {
  return mode === 'on-demand' || mode === 'event-loop';
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Process or thread `pid` and all its threads. */
function pin(pid, core) {
  execFileSync('taskset', ['-acp', `${core}`, `${pid}`], { stdio: 'ignore' });
}
