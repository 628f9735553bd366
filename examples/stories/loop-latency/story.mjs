// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { send, steadily } from '../support/client.mjs';
import { blockedMillis, blocksIn, culprits, describePlace, isAt, lineAt } from '../support/culprits.mjs';
import { prometheusPrograms, startPrometheus } from '../support/engines.mjs';
import { end, freePort, start, until } from '../support/process.mjs';
import { startReceiver } from '../support/receiver.mjs';
import { millis, quantile } from '../support/report.mjs';
import { between, Rule } from './alerts.mjs';

export const summary =
  'slow or frozen? the delay of the loop beside the latency of each endpoint, and when to tell somebody';

const SERVER = fileURLToPath(new URL('./server.mjs', import.meta.url));
const CULPRIT = { functionName: 'computeReport', file: 'server.mjs' };
const ENDPOINTS = ['/users', '/search', '/report', '/garbage'];
const SHARES = [0.5, 0.95, 0.99];
const INTERVALS = [5, 10, 20, 50, 100];
const LOOK_MILLIS = 1000;

/** `--engine`: what it needs beside npm; throws with a line on how to get what is missing. */
export const engine = { name: 'Prometheus and Alertmanager', prepare: prometheusPrograms };

export async function run({ report, quick, engine }) {
  await slowOrFrozen(report, quick);
  await (engine ? alertsOfPrometheus : alerts)(report, quick);
  await intervals(report, quick);
}

/** The same latencies from outside, and two different reasons. */
async function slowOrFrozen(report, quick) {
  const receiver = await startReceiver();
  const service = await start(SERVER, { receiver, name: 'latency' });
  const phases = [];
  for (const [name, path] of [
    ['nothing else', undefined],
    ['/search beside it: slow', '/search'],
    ['/report beside it: frozen', '/report'],
    ['/garbage beside it: frozen', '/garbage'],
  ]) {
    report.step(`Requests for /users, ${name}`);
    const from = Date.now();
    const [before] = receiver.metrics.get('eventloop.delay') ?? [];
    const users = steadily(20, () => send(`${service.url}/users`));
    const beside = [];
    for (let i = 0; i < (quick ? 3 : 6); i++) {
      if (path) beside.push(await send(service.url + path));
      await sleep(path ? 150 : 300);
    }
    const sent = await users.stop();
    // The delay of that time has been sent once a later export has come.
    const exported = receiver.metrics.get('eventloop.delay');
    await until(() => receiver.metrics.get('eventloop.delay') !== exported, 'the next export of metrics');
    const { quantiles } = between(before, receiver.metrics.get('eventloop.delay')[0], SHARES);
    phases.push({ name, path, from, to: Date.now(), users: latency(sent), beside: latency(beside), delay: quantiles });
  }
  await end(service);
  receiver.close();

  report.table(
    ['GET /users, and', 'p50', 'p95', 'p99', 'the other p50', 'delay p50', 'p95', 'p99'],
    phases.map(({ name, users, beside, delay }) =>
      [name, ...users, beside[0], ...delay].map((it) => (typeof it === 'string' ? it : millis(it))),
    ),
  );
  const [, slow, frozen, garbage] = phases;
  // A quick one is a test: how free the loop is where nothing freezes it is the machine's affair.
  if (quick) report.check('the loop was late (delay p95 over 100 ms) where it was frozen', frozen.delay[1] > 100);
  else
    report.check(
      'the loop was late (delay p95) where it was frozen, more than where requests were only slow',
      frozen.delay[1] > slow.delay[1],
    );

  const places = culprits(receiver);
  const found = places.find((place) => isAt(place, CULPRIT));
  if (found) {
    report.say(
      `\n"${found.span}" in ${describePlace(found)}: ${found.count} blocks, ${millis(found.totalMillis)} in all`,
    );
    report.say(`  ${lineAt(found)}`);
  }
  report.check(
    'the blocked time was put down to getReport, computeReport and its line',
    found?.span === 'handler - getReport' && lineAt(found).includes('checksum'),
  );
  byEndpoint(report, receiver, [frozen, garbage]);
}

/** What each endpoint did while the loop stood still, and what of that was the processor's and the collector's. */
function byEndpoint(report, receiver, phases) {
  const { spans } = receiver;
  const during = (span) => phases.some(({ from, to }) => span.start >= from && span.start <= to);
  const blocks = blocksIn(receiver);
  const rows = ENDPOINTS.map((endpoint) => {
    const requests = spans.filter(
      (span) => span.kind === 2 && span.attributes['http.route'] === endpoint && during(span),
    );
    const traces = new Set(requests.map(({ traceId }) => traceId));
    const own = spans.filter((span) => span.name === 'event loop blocked' && traces.has(span.traceId));
    const seconds = (attribute) => own.reduce((sum, { attributes }) => sum + (attributes[attribute] ?? 0), 0) * 1000;
    const waiting = requests.filter((span) => span.attributes['eventloop.stalled']);
    const linked = waiting.filter((span) => span.links.some((id) => blocks.some((block) => block.id === id)));
    return {
      endpoint,
      requests: requests.length,
      blocks: own.length,
      cpu: seconds('eventloop.block.cpu_time'),
      gc: seconds('eventloop.block.gc_time'),
      causes:
        [...new Set(own.flatMap(({ attributes }) => attributes['eventloop.block.cause'] ?? []))].join(', ') || '–',
      stalled: linked.length,
    };
  });
  report.table(
    ['while it froze', 'requests', 'blocked it', 'cause', 'CPU', 'garbage collection', 'had to wait for it'],
    rows.map((it) => [it.endpoint, it.requests, it.blocks, it.causes, millis(it.cpu), millis(it.gc), it.stalled]),
  );
  const row = (endpoint) => rows.find((it) => it.endpoint === endpoint);
  report.check('requests for /users were marked as stalled, with a link to the block', row('/users').stalled > 0);
  report.check('/garbage spent time in garbage collection, more than /report', row('/garbage').gc > row('/report').gc);
}

/** The delay of the last seconds against two rules, until both have fired and resolved. */
async function alerts(report, quick) {
  const forMillis = quick ? 3000 : 30_000;
  report.step(`Two rules on the delay: mean over 100 ms for ${forMillis / 1000} s, p99 over 200 ms`);
  const receiver = await startReceiver();
  const service = await start(SERVER, { receiver, name: 'latency-alerts' });
  const rules = [new Rule('mean over 100 ms', 100, forMillis), new Rule('p99 over 200 ms', 200, 0)];
  let before;
  const looking = setInterval(() => {
    const [now] = receiver.metrics.get('eventloop.delay') ?? [];
    if (!now || now === before) return;
    const seen = between(before, now, [0.99]);
    before = now;
    if (!seen) return;
    rules[0].look(seen.mean, Date.now());
    rules[1].look(seen.quantiles[0], Date.now());
  }, LOOK_MILLIS);
  const from = Date.now();
  const freezing = (async () => {
    while (rules.some(({ firedAt }) => firedAt === undefined)) await send(`${service.url}/report?millis=600`);
  })();
  // Generous in a test: they resolve once a second has passed in which the machine had a core for it.
  const limit = quick ? 400_000 : 100_000;
  await until(() => rules.every(({ firedAt }) => firedAt !== undefined), 'both alerts to fire', limit);
  await freezing;
  await until(() => rules.every(({ resolvedAt }) => resolvedAt !== undefined), 'both alerts to resolve', limit);
  clearInterval(looking);
  await end(service);
  receiver.close();
  tellAlerts(report, rules, from);
}

function tellAlerts(report, rules, from) {
  const after = (at) => `${((at - from) / 1000).toFixed(0)} s`;
  report.table(
    ['alert', 'for', 'fired after', 'resolved after'],
    rules.map((rule) => [rule.name, `${rule.forMillis / 1000} s`, after(rule.firedAt), after(rule.resolvedAt)]),
  );
  report.check('both alerts fired while it froze, and resolved behind it', true);
}

/** The same two rules in a real Prometheus, which scrapes the service; Alertmanager tells a webhook of ours. */
async function alertsOfPrometheus(report, quick) {
  const forMillis = quick ? 3000 : 30_000;
  report.step(`Prometheus and Alertmanager: mean over 100 ms for ${forMillis / 1000} s, p99 over 200 ms`);
  const rules = [
    {
      name: 'mean over 100 ms',
      forMillis,
      query: 'rate(eventloop_delay_sum[5s]) / rate(eventloop_delay_count[5s])',
      limit: 0.1,
    },
    {
      name: 'p99 over 200 ms',
      forMillis: 0,
      query: 'histogram_quantile(0.99, rate(eventloop_delay_bucket[5s]))',
      limit: 0.2,
    },
  ];
  const webhook = await startWebhook(rules);
  const metricsPort = await freePort();
  const receiver = await startReceiver();
  const service = await start(SERVER, {
    receiver,
    name: 'latency-alerts',
    env: {
      OTEL_METRICS_EXPORTER: 'prometheus',
      OTEL_EXPORTER_PROMETHEUS_HOST: '127.0.0.1',
      OTEL_EXPORTER_PROMETHEUS_PORT: String(metricsPort),
    },
  });
  const prometheus = await startPrometheus({
    metricsPort,
    webhook: webhook.url,
    rules: {
      groups: [
        {
          name: 'story',
          rules: rules.map((rule) => ({
            alert: rule.name,
            expr: `${rule.query} > ${rule.limit}`,
            for: `${rule.forMillis / 1000}s`,
          })),
        },
      ],
    },
  });
  const from = Date.now();
  let worst = [0, 0];
  const freezing = (async () => {
    while (rules.some(({ firedAt }) => firedAt === undefined)) {
      await send(`${service.url}/report?millis=600`);
      const now = await Promise.all(rules.map(({ query }) => prometheus.query(query)));
      worst = worst.map((value, i) => Math.max(value, now[i] ?? 0));
    }
  })();
  const limit = quick ? 400_000 : 100_000;
  await until(() => rules.every(({ firedAt }) => firedAt !== undefined), 'both alerts to fire', limit);
  await freezing;
  await until(() => rules.every(({ resolvedAt }) => resolvedAt !== undefined), 'both alerts to resolve', limit);
  await end(service);
  await prometheus.end();
  webhook.close();
  receiver.close();
  tellAlerts(report, rules, from);
  report.say(`  Prometheus saw a mean of ${millis(worst[0] * 1000)} and a p99 of ${millis(worst[1] * 1000)}.\n`);
  const found = culprits(receiver).find((place) => isAt(place, CULPRIT));
  if (found) report.say(`  "${found.span}" in ${describePlace(found)}: ${lineAt(found)}\n`);
  report.check(
    'what the alerts were about was put down to getReport, computeReport and its line',
    found?.span === 'handler - getReport' && lineAt(found).includes('checksum'),
  );
}

/** Where Alertmanager tells of alerts; it notes on each rule when it fired first and when it resolved behind that. */
async function startWebhook(rules) {
  const server = createServer(async (request, response) => {
    const { alerts } = await json(request);
    for (const { status, labels } of alerts) {
      const rule = rules.find(({ name }) => name === labels.alertname);
      if (status === 'firing') rule.firedAt ??= Date.now();
      else if (rule.firedAt !== undefined) rule.resolvedAt ??= Date.now();
    }
    response.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** What each interval costs at rest, and what of the same blocks it sees: a timer's lateness, and ours. */
async function intervals(report, quick) {
  const rows = [];
  const restMillis = quick ? 500 : 3000;
  const lengths = quick ? [150, 200] : [60, 70, 80, 90, 100, 120, 150, 200];
  for (const interval of quick ? INTERVALS.filter((_, index) => index % 2 === 0) : INTERVALS) {
    report.step(`An interval of ${interval} ms`);
    const receiver = await startReceiver();
    const service = await start(SERVER, {
      receiver,
      name: 'latency-interval',
      env: { OTEL_EVENT_LOOP_DELAY_INTERVAL_MILLIS: String(interval), GAUGE_INTERVAL: String(interval) },
    });
    const cost = async () => JSON.parse((await send(`${service.url}/cost`)).text);
    // What starting up has left to do is over by then.
    await sleep(1000);
    const before = await cost();
    await sleep(restMillis);
    const rested = await cost();
    for (const length of lengths) {
      await send(`${service.url}/report?millis=${length}`);
      // Anywhere between two beats.
      await sleep(100 + Math.random() * interval);
    }
    const after = await cost();
    await end(service);
    receiver.close();
    const counted = receiver.metrics.get('eventloop.block.duration') ?? [];
    rows.push({
      interval,
      cpu: ((rested.cpuMillis - before.cpuMillis) / restMillis) * 100,
      gaugeTimes: after.times - rested.times,
      gaugeMillis: after.lateMillis - rested.lateMillis,
      blocks: counted.reduce((sum, { count }) => sum + Number(count), 0),
      blocked: blockedMillis(receiver),
    });
  }
  const total = lengths.reduce((sum, length) => sum + length, 0);
  report.say(`\n${lengths.length} blocks of ${millis(total)} in all:`);
  report.table(
    ['interval', 'CPU at rest, both', 'a late timer saw', 'of it', 'blocks reported', 'of it'],
    rows.map((it) => [
      `${it.interval} ms`,
      `${it.cpu.toFixed(1)} %`,
      it.gaugeTimes,
      millis(it.gaugeMillis),
      it.blocks,
      millis(it.blocked),
    ]),
  );
  report.check(
    'whatever the interval, every block was reported',
    rows.every(({ blocks }) => blocks >= lengths.length),
  );
}

const latency = (sent) =>
  SHARES.map((share) =>
    quantile(
      sent.map((it) => it.millis),
      share,
    ),
  );
