// SPDX-License-Identifier: Apache-2.0
// CPU of a request in several modes, several processes of each: the servers run at once and take short turns under the same
// load, so that a slow moment of the machine hits them all. V8 does not optimise two processes alike, so that a round's value
// is the mean of a mode's processes.
import { once } from 'node:events';
import { ask, cpuPerRequest, load, median, quantile, spread } from './hello.mjs';

/** How to compare, as the environment says it, or else the caller: PROCESSES, ROUNDS, REQUESTS, WARM_UP and CYCLES. */
export function settings({ processes = 6, rounds, requests, warmUp, cycles = 0 }) {
  const { PROCESSES, ROUNDS, REQUESTS, WARM_UP, CYCLES } = process.env;
  return {
    processes: Number(PROCESSES ?? processes),
    rounds: Number(ROUNDS ?? rounds),
    requests: Number(REQUESTS ?? requests),
    warmUp: Number(WARM_UP ?? warmUp),
    cycles: Number(CYCLES ?? cycles),
  };
}

/**
 * Before the first block, and with `cycles` once more behind so many blocks in each process.
 *
 * @param start starts a server in the mode that it is given. The first one of `modes` is what the others are held against.
 * @param targets at most so much of it, by mode.
 * @returns whether all of them are met.
 */
export async function compare({ title, modes, start, processes, rounds, requests, warmUp, cycles, targets }) {
  const servers = [];
  for (let i = 0; i < processes; i++) for (const mode of modes) servers.push({ mode, ...(await start(mode)) });
  try {
    console.log(
      `${title}: ${rounds} interleaved rounds of ${requests} requests to ${processes} processes of each kind`,
    );
    await warm(servers, warmUp, requests);
    const results = [await measure(servers, rounds, requests)];
    await printSwitched(servers);
    let isMet = print('CPU per request', results[0], modes, targets);
    if (cycles > 0) {
      await provoke(servers, cycles);
      await warm(servers, warmUp / 4, requests);
      results.push(await measure(servers, rounds, requests));
      await printSwitched(servers);
      isMet = print(`after ${cycles} blocks in each process`, results[1], modes, targets) && isMet;
      for (const mode of modes.slice(1)) {
        const [before, after] = results.map((result) => median(ratiosOf(result, mode, modes[0])));
        console.log(`  ${mode}: ${(after / before).toFixed(3)} of what it was before`);
      }
    }
    return isMet;
  } finally {
    for (const { child } of servers) {
      child.disconnect();
      await once(child, 'exit');
    }
  }
}

/** In turns as well: one that has nothing to do for seconds, V8 cleans up, and has to optimise anew, not always as well. */
async function warm(servers, amount, requests) {
  for (let done = 0; done < amount; done += requests) for (const server of servers) await load(server, requests);
}

/** Of each round, the CPU of a request in each process. */
async function measure(servers, rounds, requests) {
  const result = [];
  for (let round = 0; round < rounds; round++) {
    const micros = new Map();
    for (const server of round % 2 === 0 ? servers : [...servers].reverse()) {
      micros.set(server, await cpuPerRequest(server, requests));
    }
    result.push(micros);
    process.stderr.write(`\rround ${round + 1}/${rounds}`);
  }
  process.stderr.write('\n');
  return result;
}

/** One after the other: whoever has no core has no block that is looked at. */
async function provoke(servers, cycles) {
  for (const server of servers) await ask(server, { cycles });
}

/** How often hooks were switched on in each process, in all of its life. */
async function printSwitched(servers) {
  const ons = new Map();
  for (const server of servers) {
    const { switched } = await ask(server);
    if (switched !== undefined) ons.set(server.mode, [...(ons.get(server.mode) ?? []), switched.ons]);
  }
  for (const [mode, counts] of ons) console.log(`  ${mode}: switched on ${counts.join(', ')} times so far`);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const valuesOf = (micros, mode) => [...micros].flatMap(([server, value]) => (server.mode === mode ? [value] : []));
const meansOf = (result, mode) => result.map((micros) => mean(valuesOf(micros, mode)));
const ratiosOf = (result, mode, base) =>
  result.map((micros) => mean(valuesOf(micros, mode)) / mean(valuesOf(micros, base)));

function print(what, result, modes, targets) {
  const [base, ...others] = modes;
  const servers = [...result[0].keys()];
  console.log(`  ${what}:`);
  for (const mode of modes) {
    const own = servers.filter((server) => server.mode === mode);
    const medians = own.map((server) => median(result.map((micros) => micros.get(server))));
    const range = `its processes ${Math.min(...medians).toFixed(1)} to ${Math.max(...medians).toFixed(1)}`;
    console.log(`    ${mode.padEnd(12)} ${spread(meansOf(result, mode), ' µs', 2)}, ${range}`);
  }
  let isMet = true;
  for (const mode of others) {
    const ratios = ratiosOf(result, mode, base);
    const target = targets[mode];
    const isWithin = target === undefined || median(ratios) <= target;
    isMet &&= isWithin;
    const verdict = target === undefined ? '' : `: ${isWithin ? 'within' : 'OVER'} the target of ${target.toFixed(2)}`;
    console.log(`    ${mode} / ${base}: ${spread(ratios, '', 3)}${verdict}`);
    // Other processes can only add to it: where they do, this says more than the median.
    const quietest = quantile(meansOf(result, mode), 0.1) / quantile(meansOf(result, base), 0.1);
    console.log(`      in the quietest tenth of the rounds of each: ${quietest.toFixed(3)}`);
  }
  return isMet;
}
