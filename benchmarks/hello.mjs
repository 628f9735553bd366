// SPDX-License-Identifier: Apache-2.0
// Starts hello-server.mjs, or another server, in a process of its own, loads it, and asks it what that took.
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';

/** Until V8 has optimised what it will. */
export const WARM_UP = 40_000;

const HELLO = fileURLToPath(new URL('./hello-server.mjs', import.meta.url));

/** With these the old space is not collected. As V8 sizes its heap, two processes of one kind differ by up to 20 %. */
const STEADY_HEAP = ['--min-semi-space-size=16', '--initial-old-space-size=512'];

/** Binaries, with commas between them in TEST_NODE: NODE itself is npm's to set. */
export const NODES = (process.env.TEST_NODE ?? process.execPath).split(',');

export function versionOf(node) {
  return execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
}

/**
 * HEAP=steady takes V8's choices about the size of the heap out.
 *
 * @param script forked in place of hello-server.mjs, on `node`; says its `port` first.
 * @param request what {@link load} asks for, as autocannon has it.
 */
export async function start(mode, { script = HELLO, node = process.execPath, env = {}, path = '/', request } = {}) {
  const child = fork(script, {
    execPath: node,
    env: { ...process.env, NODE_OPTIONS: '', OTEL_NODE_RESOURCE_DETECTORS: 'none', ...env, MODE: mode },
    execArgv: ['--expose-gc', ...(process.env.HEAP === 'steady' ? STEADY_HEAP : [])],
  });
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`the server in mode ${mode} ended with ${code ?? signal}`);
  });
  const [{ port }] = await Promise.race([once(child, 'message'), ended]);
  ended.catch(() => {});
  return { child, ended, url: `http://127.0.0.1:${port}${path}`, request };
}

/**
 * The client does not sleep meanwhile: on one machine it is the server that pays for waking it (in the kernel's
 * `sock_def_readable`; in a virtual machine 34 µs a request become 56), the more often the slower it is itself. No server
 * does that for clients elsewhere.
 */
export async function load({ url, request }, amount = WARM_UP) {
  let isLoading = true;
  const stayAwake = () => isLoading && setImmediate(stayAwake);
  stayAwake();
  try {
    const result = await autocannon({ url, amount, connections: 10, sampleInt: 20, ...request });
    if (result.non2xx || result.errors) throw new Error(`${result.non2xx} bad answers, ${result.errors} errors`);
  } finally {
    isLoading = false;
  }
}

/** @param message what it is to do first. */
export async function ask({ child, ended }, message = {}) {
  child.send(message);
  const [answer] = await Promise.race([once(child, 'message'), ended]);
  return answer;
}

/** Microseconds of all its threads. */
export async function cpuPerRequest(server, requests) {
  const before = (await ask(server)).cpuMicros;
  await load(server, requests);
  return ((await ask(server)).cpuMicros - before) / requests;
}

export function median(values) {
  return quantile(values, 0.5);
}

export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.ceil(at);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

export function spread(values, unit, digits) {
  const low = quantile(values, 0.25).toFixed(digits);
  const high = quantile(values, 0.75).toFixed(digits);
  return `median ${median(values).toFixed(digits)}${unit} (half of them ${low} to ${high})`;
}
