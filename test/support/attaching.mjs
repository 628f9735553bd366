// SPDX-License-Identifier: Apache-2.0
// What the checks of `npm run test:attach` are made of: programs that are attached to, and what is to be told of them.
import { AsyncLocalStorage } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { REPOSITORY, temporaryFolder } from './apps.mjs';
import { check } from './checks.mjs';

export const { positionals, values: given } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string', default: '' }, cycles: { type: 'string', default: '0' } },
});
export const temporary = temporaryFolder();
export const FIXTURE = join(REPOSITORY, 'test/fixtures/attach.mjs');
export const BINARY = join(REPOSITORY, 'dist/attach.cjs');
/** Nothing of it may take so long, on whatever machine. Milliseconds. */
const TIMEOUT = 60_000;

/** Most of the time they wait. */
const AT_ONCE = 2;
export const running = new Set();

const children = new Set();
/** Those of the check that is under way. */
const own = new AsyncLocalStorage();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** What is waited for; it fails where it does not come. */
export async function until(what, holds, timeoutMillis = TIMEOUT) {
  for (const deadline = performance.now() + timeoutMillis; ; await sleep(20)) {
    const value = await holds();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`);
  }
}

export function start(command, args, options = {}) {
  const child = spawn(command, args, { cwd: temporary, stdio: 'pipe', ...options });
  child.said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      child.said += chunk;
    });
  }
  children.add(child);
  own.getStore().add(child);
  child.ended = once(child, 'close').then(([code, signal]) => {
    children.delete(child);
    return signal ?? code;
  });
  return child;
}

/** The fixture, once it says that it is ready. */
export async function target(node, kind, flags = ['--inspect-port=0']) {
  const child = start(node, [...flags, FIXTURE, kind]);
  await until(`${kind} to be ready`, () => /^ready$/m.test(child.said) || child.exitCode !== null);
  return child;
}

export async function stop(child) {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  await child.ended;
}

let asked = 0;
/** Whether its loop still turns, and it answers. */
export async function livesOn(child) {
  const question = `${++asked}`;
  child.stdin.write(`${question}\n`);
  await until('an answer', () => child.said.includes(`answer ${question}\n`) || child.exitCode !== null);
  if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it has ended\n${child.said}`);
}

/** `attach`, run by the Node.js that runs this. */
export const attacher = (pid, ...args) =>
  start(process.execPath, [BINARY, 'attach', `${pid}`, '--timeout', '120', ...args]);

/** The same, once it is through. */
export async function attach(pid, ...args) {
  const child = attacher(pid, ...args);
  const out = { text: '', error: '' };
  child.stdout.on('data', (chunk) => {
    out.text += chunk;
  });
  child.stderr.on('data', (chunk) => {
    out.error += chunk;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT);
  out.code = await child.ended;
  clearTimeout(timer);
  return out;
}

/** What was printed with --json. */
export const objects = (text) =>
  text
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** TCP ports that it listens on. */
export function ports(pid) {
  const own = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return ['tcp', 'tcp6'].flatMap((name) =>
    readFileSync(`/proc/${pid}/net/${name}`, 'latin1')
      .split('\n')
      .map((row) => row.trim().split(/\s+/))
      .filter((row) => row[3] === '0A' && own.includes(`socket:[${row[9]}]`))
      .map((row) => Number.parseInt(row[1].split(':')[1], 16)),
  );
}

export const lineOf = (kind, file = FIXTURE) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .findIndex((line) => line.endsWith(`// HERE ${kind}`)) + 1;

export function fail(message) {
  throw new Error(message);
}

export const equal = (actual, expected, what) =>
  JSON.stringify(actual) === JSON.stringify(expected) ||
  fail(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);

export const holds = (text, pattern) => pattern.test(text) || fail(`${pattern} is not in\n${text}`);

/** A check that waits. Resolves once the next one may begin. */
export async function checked(title, body) {
  if (!title.includes(given.only)) return;
  while (running.size >= AT_ONCE) await Promise.race(running);
  const started = new Set();
  const run = own.run(started, async () => {
    let failure;
    try {
      await body();
    } catch (error) {
      failure = error;
    } finally {
      for (const child of started) await stop(child);
      running.delete(run);
    }
    check(title, () => {
      if (failure) throw failure;
    });
  });
  running.add(run);
}
