// SPDX-License-Identifier: Apache-2.0
// `npm run bench:truth`: does `eventloop.delay` say what a client outside of the process sees? A service blocks in known
// patterns while a process of its own pings it; ours and the peers' answers stand side by side with the client's.
// RUN_SECONDS=20 is how long each pattern runs; PATTERN=… picks those whose name holds the word.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { ping, quantile } from './truth/pinger.mjs';
import { bucketsAgree, explicitBucket, exponentialQuantile } from './truth/quantiles.mjs';

const SECONDS = Number(process.env.RUN_SECONDS ?? 20);
const PATTERNS = [
  'healthy',
  '300 ms each second',
  'one of 2 s in 10 s',
  '20 ms every 40 ms',
  'Poisson, mean 50 ms',
].filter((pattern) => pattern.includes(process.env.PATTERN ?? ''));
const QUANTILES = { p50: 0.5, p90: 0.9, p99: 0.99, max: 1 };

let wrong = 0;
console.log(`Node.js ${process.version}; milliseconds\n`);
for (const pattern of PATTERNS) await measure(pattern);
console.log(
  wrong === 0 ? 'every line of ours agrees with the client' : `${wrong} of our lines DISAGREE with the client`,
);
process.exitCode = wrong === 0 ? 0 : 1;

async function measure(pattern) {
  const child = fork(fileURLToPath(new URL('./truth/service.cjs', import.meta.url)));
  const [{ port }] = await once(child, 'message');
  await new Promise((resolve) => setTimeout(resolve, 500));
  child.send({ pattern });
  await once(child, 'message');
  const seconds = pattern.includes('10 s') ? 10 : SECONDS;
  const { waits, slipMillis } = await ping(port, seconds);
  child.send({ read: true });
  const [{ own, peers }] = await once(child, 'message');
  child.disconnect();

  const table = new Table({
    head: ['', 'client', 'ours, default buckets', '', 'ours, exponential', '', ...Object.keys(peers)],
    colAligns: ['left', 'right', 'right', 'left', 'right', 'left', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length / 1000;
  const ownMean = verdict(own.explicit.sum / own.explicit.count, mean);
  const peerMeans = Object.values(peers).map((peer) => verdict(peer.mean, mean));
  table.push(['mean', show(mean), ...ownMean.split(' '), ...ownMean.split(' '), ...peerMeans]);
  for (const [name, q] of Object.entries(QUANTILES)) {
    const seen = quantile(waits, q) / 1000;
    const [low, high] = explicitBucket(own.explicit, q);
    const inBucket = bucketsAgree(low, high, seen);
    const exponential = exponentialQuantile(own.exponential, q);
    const isNear = Math.abs(exponential - seen) <= Math.max(0.005, seen * 0.15);
    wrong += Number(!inBucket) + Number(!isNear);
    table.push([
      name,
      show(seen),
      `${show(low)} – ${show(high)}`,
      inBucket ? 'ok' : 'WRONG',
      show(exponential),
      isNear ? 'ok' : 'WRONG',
      ...Object.values(peers).map((peer) => verdict(peer[name], seen)),
    ]);
  }
  console.log(
    `${pattern}: ${waits.length} pings in ${seconds} s, ${own.explicit.count} waits recorded; the client itself`,
  );
  console.log(`was late to send by ${slipMillis.toFixed(1)} ms at its p99`);
  console.log(`${table}\n`);
}

function show(seconds) {
  if (seconds === undefined) return '–';
  return seconds === Number.POSITIVE_INFINITY ? '∞' : (seconds * 1000).toFixed(1);
}

function verdict(value, seen) {
  if (value === undefined) return '–';
  return `${show(value)} ${Math.abs(value - seen) <= Math.max(0.005, seen * 0.15) ? 'ok' : 'WRONG'}`;
}
