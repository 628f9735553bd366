// SPDX-License-Identifier: Apache-2.0
// The shipped alert rules and queries on real data: what Alertmanager says, load that makes alerts, and who finds what. Needs
// Debian's package `prometheus-alertmanager`.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { REPOSITORY, temporaryFolder } from './apps.mjs';
import { fencesIn } from './fences.mjs';
import { freePort, startChild } from './servers.mjs';

export const MONITORING = join(REPOSITORY, 'examples/monitoring');
export const BLOCK_ALERTS = [
  'EventLoopDelayP99High',
  'EventLoopDelayed',
  'EventLoopBlocksOften',
  'EventLoopBlockedShareHigh',
  'EventLoopRouteBlocks',
];
/** So many requests arrive together in each second. On `/slow` each blocks for 200 ms; a scrape gets through between. */
const CLIENTS = 4;
const LOAD_PERIOD_MILLIS = 1000;

const servers = [];
let folder;

/** examples/basic as it is; what becomes of its metrics is said by `env`. */
export async function startBasicService(env) {
  const child = startChild(process.execPath, [join(REPOSITORY, 'examples/basic/server.mjs')], {
    PORT: '0',
    // None leaves the process, and blocks have their route all the same.
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_TRACES_SAMPLER: 'always_off',
    OTEL_LOGS_EXPORTER: 'none',
    OTEL_EVENT_LOOP_METRIC_ATTRIBUTES: 'http.route',
    ...env,
  });
  for await (const line of createInterface(child.stdout)) {
    const [url] = /http:\S+/.exec(line) ?? [];
    if (url) return { child, url };
  }
  throw new Error(`the service did not start\n${child.said}`);
}

/** Asks for one path in every second; `to` changes it once the last answers on the old one are there. */
export function startLoad(base) {
  let path;
  let busy = Promise.resolve();
  const client = async (own) => {
    while (path === own) {
      await sleep(LOAD_PERIOD_MILLIS - (performance.now() % LOAD_PERIOD_MILLIS));
      const response = await fetch(base + own);
      await response.arrayBuffer();
    }
  };
  const change = async (next) => {
    path = next;
    await busy;
    if (next) busy = Promise.all(Array.from({ length: CLIENTS }, () => client(next)));
  };
  return { to: change, end: () => change(undefined) };
}

/** Receives what Alertmanager sends, and knows what fires by `alert job`. */
export async function startWebhook() {
  const states = new Map();
  const url = await listen(async (request, response) => {
    for (const { status, labels } of (await json(request)).alerts)
      states.set(`${labels.alertname} ${labels.job}`, status);
    response.end();
  });
  return {
    url,
    isFiring: (name) => states.get(name) === 'firing',
    isResolved: (name) => states.get(name) === 'resolved',
    firing: () => Array.from(states.keys()).filter((name) => states.get(name) === 'firing'),
  };
}

/** Sends all that it hears of to the webhook. Returns its address, as Prometheus' configuration has it. */
export async function startAlertmanager(webhookUrl) {
  const port = await freePort();
  const config = {
    route: {
      receiver: 'test',
      group_by: ['alertname', 'job'],
      group_wait: '1s',
      group_interval: '1s',
      repeat_interval: '1h',
    },
    receivers: [{ name: 'test', webhook_configs: [{ url: webhookUrl, send_resolved: true }] }],
  };
  const path = write('alertmanager.yaml', config);
  const child = startChild('prometheus-alertmanager', [
    `--config.file=${path}`,
    `--storage.path=${path}.data`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--cluster.listen-address=',
  ]);
  await ready(`http://127.0.0.1:${port}/-/ready`, child);
  return { alertmanagers: [{ static_configs: [{ targets: [`127.0.0.1:${port}`] }] }] };
}

/**
 * The shipped rules with shorter times, as a file: windows of minutes become 8 s, those of an hour and more stay; `for`
 * becomes 2 s.
 */
export function hasten(spelling) {
  const rules = parse(readFileSync(join(MONITORING, `prometheus/rules-${spelling}.yaml`), 'utf8'));
  for (const group of rules.groups) {
    for (const rule of group.rules) {
      rule.for = '2s';
      // Not the one that looks back for what there was before it fell silent.
      rule.expr = rule.expr.replaceAll(/\[[135]m\]/g, '[8s]');
    }
  }
  return write(`rules-${spelling}.yaml`, rules);
}

/** Every query of the dashboard, as Grafana would send it for this service. */
export function dashboardQueries(job) {
  const dashboard = JSON.parse(readFileSync(join(MONITORING, 'grafana/event-loop.json'), 'utf8'));
  return dashboard.panels
    .flatMap(({ targets }) => targets.flatMap(({ expr }) => expr ?? []))
    .map((expr) => expr.replaceAll('$__rate_interval', '8s').replaceAll('$service', job).replaceAll('$instance', '.+'));
}

/** Those of the page of queries, which has them in the spelling of a scrape. */
export function pageQueries(spelling) {
  const fences = fencesIn(readFileSync(join(MONITORING, 'queries.md'), 'utf8'));
  const lines = fences.filter(({ language }) => language === 'promql').flatMap(({ code }) => code.trim().split('\n'));
  const queries = lines.filter((line) => !line.startsWith('#'));
  return spelling === 'scraped' ? queries : queries.map(asOtlp);
}

/** How the names are said where they came by OTLP. */
const asOtlp = (query) =>
  query.replaceAll(/\b(eventloop_(?:delay|block_duration|block_time))_(bucket|sum|count|total)\b/g, '$1_seconds_$2');

/** Of the queries those that find nothing but zeros, or nothing at all, each with what is said of it. */
export async function emptyQueries(prometheusUrl, queries) {
  const empty = [];
  for (const query of queries) {
    const response = await fetch(`${prometheusUrl}/api/v1/query?${new URLSearchParams({ query })}`);
    const { status, data, error } = await response.json();
    const found = status === 'success' && data.result.some(({ value }) => Number(value[1]) > 0);
    if (!found) empty.push(`${query}: ${error ?? 'nothing'}`);
  }
  return empty;
}

/** On a free port, until `closeServers`. */
export async function listen(handler) {
  const server = createServer(handler).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

export function closeServers() {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
}

/** Waits until it says that it is, or says why it does not. */
export async function ready(url, child) {
  for (let attempt = 0; attempt < 600; attempt++) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    if (child.exitCode !== null || child.pid === undefined) break;
    await sleep(100);
  }
  throw new Error(`nothing answers at ${url}\n${child.said}`);
}

/** Writes YAML, of which JSON is a part, into a folder that goes with the process. */
export function write(name, content) {
  folder ??= temporaryFolder();
  const path = join(folder, name);
  writeFileSync(path, name.endsWith('.json') ? JSON.stringify(content) : stringify(content));
  return path;
}
