// SPDX-License-Identifier: Apache-2.0
// Services and servers as processes of their own, none of which outlives the story.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { STORIES } from './install.mjs';

/** Generous: on a machine with a queue for its cores a process takes a minute to start that starts in one second. */
const START_LIMIT_MILLIS = 300_000;
const END_LIMIT_MILLIS = 60_000;
const UNTIL_LIMIT_MILLIS = 300_000;
const TRACING = new URL('../../demo/tracing.mjs', import.meta.url).href;

const running = new Set();
process.on('exit', endAll);

/** Whatever still runs. */
export function endAll() {
  for (const child of running) child.kill('SIGKILL');
}

/**
 * Starts a module that sends `{ url }` once it listens. With a `receiver` it is instrumented as any service is, and its
 * telemetry goes there; `imports`, and behind them `also`, are loaded ahead of it.
 */
export async function start(
  file,
  { receiver, imports = receiver ? [TRACING] : [], also = [], env = {}, name = 'story' } = {},
) {
  const child = fork(file, {
    cwd: STORIES,
    execArgv: [...imports, ...also].flatMap((module) => ['--import', module]),
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...withoutOtel(process.env), ...(receiver && otel(receiver, name)), ...env },
  });
  running.add(child);
  const ended = once(child, 'exit').then(([code, signal]) => {
    running.delete(child);
    return signal ?? code;
  });
  const service = { child, ended, stdout: '', stderr: '', messages: [], url: undefined };
  child.stdout.on('data', (text) => (service.stdout += text));
  child.stderr.on('data', (text) => (service.stderr += text));
  child.on('message', (message) => {
    service.messages.push(message);
    service.url ??= message.url;
  });
  ended.then((how) => (service.how = how));
  const isThere = () => service.url !== undefined || service.how !== undefined;
  await until(isThere, `${file} to listen`, START_LIMIT_MILLIS).catch(() => {});
  if (service.url === undefined) throw new Error(`${file} did not start (${service.how})\n${service.stderr}`);
  return service;
}

/**
 * Starts a program that is not ours. `isUp(pattern)`: whether it has said that, or `pattern` is undefined; throws once it
 * has ended, with what it said last.
 */
export function startProgram(command, args, { cwd, env = {} } = {}) {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  running.add(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => (said = (said + text).slice(-20_000)));
  }
  const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code))).then((how) => {
    running.delete(child);
    return how;
  });
  child.once('error', (error) => (said += error));
  return {
    ended,
    get said() {
      return said;
    },
    isUp(pattern = /(?:)/) {
      if (!running.has(child)) throw new Error(`${command} ended with ${child.signalCode ?? child.exitCode}\n${said}`);
      return pattern.test(said);
    },
    async kill(signal = 'SIGKILL') {
      child.kill(signal);
      await ended;
    },
  };
}

/** Runs a program to its end. @returns what it said last; throws unless it ends with 0. */
export async function runProgram(command, args, options) {
  const program = startProgram(command, args, options);
  const how = await program.ended;
  if (how !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${how}\n${program.said}`);
  return program.said;
}

/** Asks it to end, so that it sends its last telemetry; at the latest it is killed. */
export async function end({ child, ended }) {
  if (child.connected) child.disconnect();
  const limit = setTimeout(() => child.kill('SIGKILL'), END_LIMIT_MILLIS);
  await ended;
  clearTimeout(limit);
}

export async function kill({ child, ended }) {
  child.kill('SIGKILL');
  await ended;
}

/** Waits until `look` finds something, and returns it. */
export async function until(look, what, limitMillis = UNTIL_LIMIT_MILLIS) {
  const startedAt = performance.now();
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() - startedAt > limitMillis) throw new Error(`waited ${limitMillis / 1000} s for ${what}`);
    await sleep(20);
  }
}

/**
 * For servers that have to be told theirs. From below those that systems give to connections and to servers which take
 * any, so that nobody is given it before its server listens.
 */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** Whether somebody takes connections there. */
export async function accepts(port) {
  const socket = connect(port, '127.0.0.1');
  const isThere = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return isThere;
}

/** The story's settings win over those of the user's shell. */
function withoutOtel(env) {
  return Object.fromEntries(Object.entries(env).filter(([variable]) => !/^(OTEL_|NODE_OPTIONS$)/.test(variable)));
}

function otel({ url }, name) {
  return {
    OTEL_SERVICE_NAME: name,
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_METRICS_EXPORTER: 'otlp',
    OTEL_LOGS_EXPORTER: 'otlp',
    // Shorter than the defaults, since the stories are, and room for what piles up while the loop is blocked.
    OTEL_METRIC_EXPORT_INTERVAL: '1000',
    OTEL_METRIC_EXPORT_TIMEOUT: '1000',
    OTEL_BSP_SCHEDULE_DELAY: '500',
    OTEL_BSP_MAX_QUEUE_SIZE: '50000',
    OTEL_BLRP_SCHEDULE_DELAY: '500',
    OTEL_EVENT_LOOP_MAX_BLOCKS_PER_MINUTE: '1000',
  };
}
