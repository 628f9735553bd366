// SPDX-License-Identifier: Apache-2.0
// `npm run test:alerts`: a real Prometheus and Alertmanager watch the example service. Its event loop is blocked: the
// alerts must arrive at a webhook, and resolve once it is not blocked any more. Needs Debian's packages `prometheus` and
// `prometheus-alertmanager`, and the built package.
//
// The rules are the shipped ones, with shorter times so that this takes about a minute (see `hasten`). Debian's
// Prometheus cannot receive OTLP, so the rules for OTLP get what is scraped, renamed to what OTLP makes of it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  BLOCK_ALERTS,
  closeServers,
  dashboardQueries,
  emptyQueries,
  hasten,
  listen,
  MONITORING,
  pageQueries,
  ready,
  startAlertmanager,
  startBasicService,
  startLoad,
  startWebhook,
  write,
} from '../support/alerting.mjs';
import { endChildren, freePort, startChild } from '../support/servers.mjs';

const SPELLINGS = ['scraped', 'otlp'];
const ALERT_TIMEOUT_MILLIS = 60_000;

const startedAt = performance.now();
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
closeServers();
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
  const prometheus = await startPrometheus(service.metricsPort, await startAlertmanager(webhook.url));

  const load = startLoad(service.url);
  await load.to('/quick');
  await sleep(10_000);
  check('no alert while all is well', webhook.firing().length === 0, webhook.firing().join(', '));

  await load.to('/slow');
  const blockAlerts = SPELLINGS.flatMap((spelling) => BLOCK_ALERTS.map((alert) => `${alert} ${spelling}`));
  await checkSoon('blocked, alerts', blockAlerts, webhook.isFiring);
  await checkQueries(prometheus.url);

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

/** Environment variables make it a target for scrapes. */
async function startService() {
  const metricsPort = await freePort();
  const service = await startBasicService({
    OTEL_METRICS_EXPORTER: 'prometheus',
    OTEL_EXPORTER_PROMETHEUS_HOST: '127.0.0.1',
    OTEL_EXPORTER_PROMETHEUS_PORT: `${metricsPort}`,
  });
  return { ...service, metricsPort };
}

/** A target that answers scrapes, with nothing of an event loop in it. */
async function startBareTarget() {
  const url = await listen((_request, response) => {
    response.setHeader('content-type', 'text/plain').end('some_other_metric 1\n');
  });
  return Number(new URL(url).port);
}

async function startPrometheus(metricsPort, alerting) {
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
    rule_files: SPELLINGS.map(hasten),
    alerting,
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
  const path = write('prometheus.yaml', config);
  const child = start('prometheus', [
    `--config.file=${path}`,
    `--storage.tsdb.path=${path}.data`,
    `--web.listen-address=127.0.0.1:${port}`,
    // Else an alert that stopped firing is sent as resolved only every minute.
    '--rules.alert.resend-delay=1s',
  ]);
  const url = `http://127.0.0.1:${port}`;
  await ready(`${url}/-/ready`, child);
  return { url, retarget: target };
}

/** Every query of the dashboard and of the pages must find something while the loop is blocked. */
async function checkQueries(prometheusUrl) {
  for (const job of SPELLINGS) {
    const queries = dashboardQueries(job);
    const empty = await emptyQueries(prometheusUrl, queries);
    check(`the dashboard's ${queries.length} queries find the job "${job}"`, empty.length === 0, empty.join('\n'));
    const page = pageQueries(job);
    const emptyOnPage = await emptyQueries(prometheusUrl, page);
    check(`the ${page.length} queries of the page find "${job}"`, emptyOnPage.length === 0, emptyOnPage.join('\n'));
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
