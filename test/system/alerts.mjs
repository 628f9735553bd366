// SPDX-License-Identifier: Apache-2.0
// `npm run test:alerts`: a real Prometheus and Alertmanager watch the example service. Its event loop is blocked: the
// alerts must arrive at a webhook, and resolve once it is not blocked any more. Needs Debian's packages `prometheus` and
// `prometheus-alertmanager`, and the built package.
//
// The rules are the shipped ones, with shorter times so that this takes about a minute (see `hasten`). Debian's
// Prometheus cannot receive OTLP, so the rules for OTLP get what is scraped, renamed to what OTLP makes of it.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { REPOSITORY, temporaryFolder } from '../support/apps.mjs';
import { endChildren, freePort, startChild } from '../support/servers.mjs';

const MONITORING = join(REPOSITORY, 'examples/monitoring');
const SPELLINGS = ['scraped', 'otlp'];
const BLOCK_ALERTS = ['EventLoopDelayP99High', 'EventLoopDelayed', 'EventLoopBlocksOften', 'EventLoopBlockedShareHigh'];
/** So many requests arrive together in each second. On `/slow` each blocks for 200 ms; a scrape gets through between. */
const CLIENTS = 4;
const LOAD_PERIOD_MILLIS = 1000;
const ALERT_TIMEOUT_MILLIS = 60_000;

const startedAt = performance.now();
const folder = temporaryFolder();
const servers = [];

let isOver = false;
let passed = 0;
let failed = 0;
try {
  for (const spelling of SPELLINGS) checkRules(spelling);
  await checkAlerts();
} catch (error) {
  failed++;
  console.log(`FAILED  ${error.stack}`);
}
for (const server of servers) server.close().closeAllConnections();
isOver = true;
await endChildren('SIGKILL');
console.log(`\nin ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);

/** The shipped rules as they are, by the tests beside them. */
function checkRules(spelling) {
  const path = join(MONITORING, 'prometheus');
  for (const args of [
    ['check', 'rules', `rules-${spelling}.yaml`],
    ['test', 'rules', `rules-${spelling}.test.yaml`],
  ]) {
    const { status, error, stdout, stderr } = spawnSync('promtool', args, { cwd: path, encoding: 'utf8' });
    check(`promtool ${args.join(' ')}`, status === 0, error?.message ?? stdout + stderr);
  }
}

async function checkAlerts() {
  const service = await startService();
  const webhook = await startWebhook();
  const alertmanager = await startAlertmanager(webhook.url);
  const prometheus = await startPrometheus(service.metricsPort, alertmanager.port);

  const load = startLoad(service.url);
  await load.to('/quick');
  await sleep(10_000);
  check('no alert while all is well', webhook.firing().length === 0, webhook.firing().join(', '));

  await load.to('/slow');
  const blockAlerts = SPELLINGS.flatMap((spelling) => BLOCK_ALERTS.map((alert) => `${alert} ${spelling}`));
  await checkSoon('blocked, alerts', blockAlerts, webhook.isFiring);
  await checkDashboard(prometheus.url);

  await load.to('/quick');
  await checkSoon('fixed, resolves', blockAlerts, webhook.isResolved);

  service.child.kill('SIGSTOP');
  await checkSoon('stopped, alerts', ['EventLoopNotAnswering scraped'], webhook.isFiring);
  service.child.kill('SIGCONT');
  await checkSoon('goes on, resolves', ['EventLoopNotAnswering scraped'], webhook.isResolved);

  // The same job, but somebody took the instrumentation out.
  prometheus.retarget(await startBareTarget());
  await checkSoon('without instrumentation, alerts', ['EventLoopSilent scraped'], webhook.isFiring);
  prometheus.retarget(service.metricsPort);
  await checkSoon('with it again, resolves', ['EventLoopSilent scraped'], webhook.isResolved);
  // Where it was stopped, what is sent over OTLP was missing as well, and takes a while to be believed again.
  for (const deadline = performance.now() + ALERT_TIMEOUT_MILLIS; webhook.firing().length > 0; await sleep(500)) {
    if (performance.now() > deadline) break;
  }
  check('no alert is left', webhook.firing().length === 0, webhook.firing().join(', '));
  await load.end();
}

/** examples/basic as it is; environment variables make it a target for scrapes. */
async function startService() {
  const metricsPort = await freePort();
  const child = start(process.execPath, [join(REPOSITORY, 'examples/basic/server.mjs')], {
    PORT: '0',
    // None leaves the process, and blocks have their route all the same.
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_TRACES_SAMPLER: 'always_off',
    OTEL_LOGS_EXPORTER: 'none',
    OTEL_METRICS_EXPORTER: 'prometheus',
    OTEL_EXPORTER_PROMETHEUS_HOST: '127.0.0.1',
    OTEL_EXPORTER_PROMETHEUS_PORT: `${metricsPort}`,
    OTEL_EVENT_LOOP_METRIC_ATTRIBUTES: 'http.route',
  });
  for await (const line of createInterface(child.stdout)) {
    const [url] = /http:\S+/.exec(line) ?? [];
    if (url) return { child, url, metricsPort };
  }
  throw new Error('the service did not start');
}

/** Asks for one path in every second; `to` changes it once the last answers on the old one are there. */
function startLoad(base) {
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
async function startWebhook() {
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

/** A target that answers scrapes, with nothing of an event loop in it. */
async function startBareTarget() {
  const url = await listen((_request, response) => {
    response.setHeader('content-type', 'text/plain').end('some_other_metric 1\n');
  });
  return Number(new URL(url).port);
}

async function startAlertmanager(webhookUrl) {
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
  start('prometheus-alertmanager', [
    `--config.file=${write('alertmanager.yaml', config)}`,
    `--storage.path=${join(folder, 'alertmanager')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--cluster.listen-address=',
  ]);
  await ready(`http://127.0.0.1:${port}/-/ready`);
  return { port };
}

async function startPrometheus(metricsPort, alertmanagerPort) {
  const port = await freePort();
  const target = (metrics) => write('target.json', [{ targets: [`127.0.0.1:${metrics}`] }]);
  const file_sd_configs = [{ files: [target(metricsPort)], refresh_interval: '1s' }];
  // One and the same process whichever port it is asked on.
  const relabel_configs = [{ target_label: 'instance', replacement: 'the-service' }];
  const rename = (from, to) => ({
    source_labels: ['__name__'],
    regex: from,
    target_label: '__name__',
    replacement: to,
  });
  const config = {
    global: { scrape_interval: '2s', scrape_timeout: '2s', evaluation_interval: '1s' },
    rule_files: SPELLINGS.map((spelling) => write(`rules-${spelling}.yaml`, hasten(spelling))),
    alerting: { alertmanagers: [{ static_configs: [{ targets: [`127.0.0.1:${alertmanagerPort}`] }] }] },
    scrape_configs: [
      { job_name: 'scraped', file_sd_configs, relabel_configs },
      {
        job_name: 'otlp',
        file_sd_configs,
        relabel_configs,
        metric_relabel_configs: [
          rename('eventloop_delay_(.+)', 'eventloop_delay_seconds_$1'),
          rename('eventloop_block_duration_(.+)', 'eventloop_block_duration_seconds_$1'),
          rename('eventloop_block_time_total', 'eventloop_block_time_seconds_total'),
        ],
      },
    ],
  };
  start('prometheus', [
    `--config.file=${write('prometheus.yaml', config)}`,
    `--storage.tsdb.path=${join(folder, 'prometheus')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    // Else an alert that stopped firing is sent as resolved only every minute.
    '--rules.alert.resend-delay=1s',
  ]);
  const url = `http://127.0.0.1:${port}`;
  await ready(`${url}/-/ready`);
  return { url, retarget: target };
}

/**
 * The shipped rules with shorter times and each for its own job: windows of minutes become 8 s, those of an hour and more
 * stay; `for` becomes 2 s.
 */
function hasten(spelling) {
  const rules = parse(readFileSync(join(MONITORING, `prometheus/rules-${spelling}.yaml`), 'utf8'));
  for (const group of rules.groups) {
    for (const rule of group.rules) {
      rule.for = '2s';
      // Not the one that looks back for what there was before it fell silent.
      rule.expr = rule.expr.replaceAll(/\[[135]m\]/g, '[8s]');
    }
  }
  return rules;
}

/** Every query of the dashboard, as Grafana would send it, must find something while the loop is blocked. */
async function checkDashboard(prometheusUrl) {
  const dashboard = JSON.parse(readFileSync(join(MONITORING, 'grafana/event-loop.json'), 'utf8'));
  const exprs = dashboard.panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => expr ?? []));
  for (const job of SPELLINGS) {
    const empty = [];
    for (const expr of exprs) {
      const query = expr.replaceAll('$__rate_interval', '8s').replaceAll('$service', job).replaceAll('$instance', '.+');
      const response = await fetch(`${prometheusUrl}/api/v1/query?${new URLSearchParams({ query })}`);
      const { status, data, error } = await response.json();
      const found = status === 'success' && data.result.some(({ value }) => Number(value[1]) > 0);
      if (!found) empty.push(`${expr}: ${error ?? 'nothing'}`);
    }
    check(`the dashboard's ${exprs.length} queries find the job "${job}"`, empty.length === 0, empty.join('\n'));
  }
}

async function checkSoon(title, names, isSo) {
  const since = performance.now();
  const waiting = () => names.filter((name) => !isSo(name));
  while (waiting().length > 0 && performance.now() - since < ALERT_TIMEOUT_MILLIS) await sleep(100);
  const seconds = ((performance.now() - since) / 1000).toFixed(1);
  for (const name of names) check(`${title}: ${name}`, isSo(name), `not within ${seconds} s`);
  console.log(`        within ${seconds} s`);
}

function check(title, ok, complaint) {
  if (ok) passed++;
  else failed++;
  console.log(ok ? `ok      ${title}` : `FAILED  ${title}\n${`${complaint}`.replace(/^/gm, '        ')}`);
}

/** Says what a child has said, should it end too soon. */
function start(command, args, env) {
  const child = startChild(command, args, env);
  child.on('exit', (code) => {
    if (!isOver) console.log(`${command} ended with ${code}\n${child.said}`);
  });
  return child;
}

async function listen(handler) {
  const server = createServer(handler).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

async function ready(url) {
  for (let attempt = 0; attempt < 200; attempt++) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    await sleep(100);
  }
  throw new Error(`nothing answers at ${url}`);
}

/** Writes YAML, of which JSON is a part. */
function write(name, content) {
  const path = join(folder, name);
  writeFileSync(path, name.endsWith('.json') ? JSON.stringify(content) : stringify(content));
  return path;
}
