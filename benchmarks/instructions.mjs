// SPDX-License-Identifier: Apache-2.0
// Instructions per request of the server of overhead.mjs, counted by valgrind: other processes, which make CPU time here
// what it is, change nothing about them. Those of the main thread in user mode, without garbage collection; V8 does not
// optimise quite the same in each process, some 10,000 a request. MODE=exact, or another of
// server.mjs, is what is held against OpenTelemetry alone. OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=0: of
// requests that are not sampled. Needs Debian's package `valgrind`; two minutes.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';

/** Until V8 has optimised what it will; fewer leave it at a different state in each process. */
const WARM_UP = 60_000;
/** Garbage is collected in some windows and not in others: the lowest counts. */
const WINDOWS = 5;
const REQUESTS = 400;
const VALGRIND = [
  '--tool=callgrind',
  '--instr-atstart=no',
  // V8 writes code as it goes.
  '--smc-check=all-non-file',
  '--separate-threads=yes',
];
/** So much room that most windows see no collection; where there is one, it runs on the main thread. */
const NODE = ['--single-threaded-gc', '--min-semi-space-size=64', '--max-semi-space-size=64'];
const SETTINGS = {
  OTEL_NODE_RESOURCE_DETECTORS: 'none',
  // Under valgrind all takes 80 times as long: nothing is to be a block for that.
  OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '60000',
  OTEL_EVENT_LOOP_WATCHDOG: 'false',
};

const folder = mkdtempSync(join(tmpdir(), 'instructions-'));
process.on('exit', () => rmSync(folder, { recursive: true }));
const mode = process.env.MODE ?? 'exact';
const [otel, withOurs] = await Promise.all(['otel', mode].map(count));
console.log(
  `Node.js ${process.version}, instructions per request in user mode, lowest of ${WINDOWS} times ${REQUESTS}:`,
);
console.log(`  otel         ${thousands(otel)}`);
console.log(`  ${mode.padEnd(12)} ${thousands(withOurs)}: +${thousands(withOurs - otel)}`);
console.log(`  ${mode} / otel: ${(withOurs / otel).toFixed(3)}`);

async function count(mode) {
  const output = join(folder, fileOf(mode));
  const server = fileURLToPath(new URL('./hello-server.mjs', import.meta.url));
  const command = [...VALGRIND, `--callgrind-out-file=${output}`, process.execPath, ...NODE];
  const preload = new URL('./slow-clock.mjs', import.meta.url).href;
  const child = spawn('valgrind', [...command, '--import', preload, server], {
    env: { ...process.env, ...SETTINGS, MODE: mode },
    stdio: ['ignore', 'inherit', 'ignore', 'ipc'],
  });
  try {
    const [{ port }] = await once(child, 'message');
    const load = (amount) =>
      autocannon({ url: `http://127.0.0.1:${port}/`, amount, connections: 10, timeout: 60, sampleInt: 20 });
    const control = (...words) => execFileSync('callgrind_control', [...words, `${child.pid}`], { stdio: 'ignore' });
    await load(WARM_UP);
    control('--instr=on');
    for (let i = 0; i < WINDOWS; i++) {
      const { non2xx, errors } = await load(REQUESTS);
      if (non2xx || errors) throw new Error(`${non2xx} bad answers, ${errors} errors`);
      control('--dump');
    }
    return Math.min(...totals(mode)) / REQUESTS;
  } finally {
    child.kill('SIGKILL');
  }
}

/** A mode may be that of another checkout. */
function fileOf(mode) {
  return mode.replaceAll('/', '-');
}

/** Of each window, what the first thread did, which is the main one. */
function totals(mode) {
  const files = readdirSync(folder).filter((name) => name.startsWith(`${fileOf(mode)}.`) && name.endsWith('-01'));
  return files.map((file) => Number(/^totals: (\d+)$/m.exec(readFileSync(join(folder, file), 'utf8'))[1]));
}

function thousands(instructions) {
  return `${(instructions / 1000).toFixed(1)} k`;
}
