// SPDX-License-Identifier: Apache-2.0
// Services and servers as processes of their own, none of which outlives the story.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { STORIES } from './install.mjs';

/** Generous: a machine with better things to do starts a process in seconds. */
const START_LIMIT_MILLIS = 60_000;
const END_LIMIT_MILLIS = 20_000;
const TRACING = new URL('../../demo/tracing.mjs', import.meta.url).href;

const running = new Set();
process.on('exit', endAll);

/** Whatever still runs. */
export function endAll() {
  for (const child of running) child.kill('SIGKILL');
}

/**
 * Starts a module that sends `{ url }` once it listens. With a `receiver` it is instrumented as any service is, and its
 * telemetry goes there; `imports` are loaded ahead of it.
 */
export async function start(file, { receiver, imports = receiver ? [TRACING] : [], env = {}, name = 'story' } = {}) {
  const child = fork(file, {
    cwd: STORIES,
    execArgv: imports.flatMap((module) => ['--import', module]),
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
export async function until(look, what, limitMillis = 60_000) {
  const startedAt = performance.now();
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() - startedAt > limitMillis) throw new Error(`waited ${limitMillis / 1000} s for ${what}`);
    await sleep(20);
  }
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
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
