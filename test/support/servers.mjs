// SPDX-License-Identifier: Apache-2.0
// Real servers as child processes, for system tests and benchmarks. They need Debian's packages `postgresql` and
// `redis-server`.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from './apps.mjs';

const TIMEOUT_MILLIS = 30_000;

const children = [];
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** In a folder of its own, gone when this process ends; as its own user, because it refuses to run as root. `more`: settings. */
export async function startPostgres(more = {}) {
  const versions = '/usr/lib/postgresql';
  if (!existsSync(versions)) throw new Error("needs Debian's package postgresql");
  const bin = join(versions, readdirSync(versions).sort((a, b) => b - a)[0], 'bin');
  const home = temporaryFolder();
  const isRoot = process.getuid() === 0;
  if (isRoot) spawnSync('chown', ['postgres', home]);
  const prefix = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : ['env'];
  const data = join(home, 'data');
  const [command, ...args] = [...prefix, join(bin, 'initdb'), '--no-sync', '-A', 'trust', '-U', 'postgres', '-D', data];
  const { status, error, stderr } = spawnSync(command, args, { cwd: home, encoding: 'utf8' });
  if (status !== 0) throw error ?? new Error(`initdb ended with ${status}\n${stderr}`);
  const port = await freePort();
  const settings = { listen_addresses: '127.0.0.1', port, unix_socket_directories: '', fsync: 'off', ...more };
  const flags = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
  await startServer([...prefix, join(bin, 'postgres'), '-D', data, ...flags], 'database system is ready', home);
  return `postgres://postgres@127.0.0.1:${port}/postgres`;
}

export async function startRedis() {
  const port = await freePort();
  const flags = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'].map(String);
  await startServer(['redis-server', ...flags], 'Ready to accept connections', temporaryFolder());
  return `redis://127.0.0.1:${port}`;
}

async function startServer([command, ...args], greeting, cwd) {
  const child = startChild(command, args, {}, cwd);
  for (let waited = 0; !child.said.includes(greeting); waited += 50) {
    if (child.exitCode !== null || waited > TIMEOUT_MILLIS) throw new Error(`${command} does not start\n${child.said}`);
    await sleep(50);
  }
}

/** A child process that ends with this one, at the latest; `said` is the end of what it said. `stdio`: see `spawn`. */
export function startChild(command, args, env, cwd, stdio = 'pipe') {
  const child = spawn(command, args, { cwd, stdio, env: { ...process.env, ...env } });
  child.said = '';
  const keep = (chunk) => {
    child.said = (child.said + chunk).slice(-4000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.on('error', keep);
  children.push(child);
  return child;
}

/** Of a server that listened there only to get it. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** Those that still run, in order; to PostgreSQL SIGINT means to end at once and in order. */
export async function endChildren(signal = 'SIGINT') {
  for (const child of children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
    child.kill(signal);
    await once(child, 'exit');
  }
}
