// SPDX-License-Identifier: Apache-2.0
// `npm run bench:start-up`: what a program that does next to nothing takes more with `./register` or `./debug`: CPU of all
// its threads and the most memory, as it reads them of itself at its exit, and the time from its start to its end. Each kind
// takes turns with all others, and the figures are medians; what is told of a kind is the median of its differences to the
// plain program of the same round.
//   ROUNDS=15 TEST_NODE=<binary>
//   LIVES=0,300  how long the program lives, in ms: 0 ends ahead of the first beat
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import Table from 'cli-table3';

const ROUNDS = Number(process.env.ROUNDS ?? 15);
const LIVES = (process.env.LIVES ?? '0,300').split(',').map(Number);
const node = process.env.TEST_NODE ?? process.execPath;
const repository = resolve(import.meta.dirname, '..');
const NAME = 'opentelemetry-instrumentation-event-loop';
const SDK = ['--require', './benchmarks/start-up/sdk.cjs'];

const program = (millis) => `
process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  process.stdout.write(JSON.stringify({ cpu: (user + system) / 1000, rss: process.resourceUsage().maxRSS / 1024 }));
});
${millis > 0 ? `setTimeout(() => {}, ${millis});` : ''}
`;

const cache = mkdtempSync(join(tmpdir(), 'event-loop-cache-'));
process.on('exit', () => rmSync(cache, { recursive: true, force: true }));
const CACHE = { NODE_COMPILE_CACHE: cache };
const WITHOUT_WATCHDOG = { OTEL_EVENT_LOOP_WATCHDOG: 'false' };

/** What is added, and to what. */
const KINDS = [
  ['nothing', [], {}, undefined],
  ['@opentelemetry/instrumentation', ['--require', '@opentelemetry/instrumentation'], {}, 'nothing'],
  ['--require ./register', ['--require', `${NAME}/register`], {}, 'nothing'],
  ['--import ./register', ['--import', `${NAME}/register`], {}, 'nothing'],
  ['  without the watchdog', ['--import', `${NAME}/register`], WITHOUT_WATCHDOG, 'nothing'],
  ['  NODE_COMPILE_CACHE', ['--import', `${NAME}/register`], CACHE, 'nothing'],
  ['--require ./debug', ['--require', `${NAME}/debug`], {}, 'nothing'],
  ['--import ./debug', ['--import', `${NAME}/debug`], {}, 'nothing'],
  ['an SDK', SDK, {}, 'nothing'],
  ['an SDK and --import ./register', [...SDK, '--import', `${NAME}/register`], {}, 'an SDK'],
];

console.log(`${await version()}, ${ROUNDS} rounds, medians`);
for (const millis of LIVES) await measure(millis);

async function measure(millis) {
  const rounds = [];
  // The first one warms the disk, and the compile cache.
  for (let i = 0; i <= ROUNDS; i++) {
    const round = new Map();
    for (const [kind, args, env] of KINDS) round.set(kind, await run(args, env, millis));
    if (i > 0) rounds.push(round);
  }
  const table = new Table({
    head: [`lives ${millis} ms`, 'CPU', 'more', 'memory', 'more', 'takes', 'more'],
    colAligns: ['left', ...new Array(6).fill('right')],
    style: { head: [] },
  });
  for (const [kind, , , base] of KINDS) {
    const cells = ['cpu', 'rss', 'wall'].flatMap((what) => {
      const unit = what === 'rss' ? 'MB' : 'ms';
      const of = median(rounds.map((round) => round.get(kind)[what]));
      const more = base && median(rounds.map((round) => round.get(kind)[what] - round.get(base)[what]));
      return [`${of.toFixed(0)} ${unit}`, more === undefined ? '' : `+${more.toFixed(1)} ${unit}`];
    });
    table.push([kind, ...cells]);
  }
  console.log(table.toString());
}

async function run(args, env, millis) {
  const from = performance.now();
  const child = spawn(node, [...args, '--eval', program(millis)], {
    cwd: repository,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}`);
  return { ...JSON.parse(said), wall: performance.now() - from };
}

async function version() {
  const child = spawn(node, ['--version'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [text] = await once(child.stdout, 'data');
  return `Node.js ${String(text).trim()}`;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
