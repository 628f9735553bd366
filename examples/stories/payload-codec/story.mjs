// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { send } from '../support/client.mjs';
import { blockedAt, blockedMillis, culprits, describePlace, isAt, lineAt } from '../support/culprits.mjs';
import { end, freePort, start, until } from '../support/process.mjs';
import { startReceiver } from '../support/receiver.mjs';
import { millis, quantile } from '../support/report.mjs';
import { histogramQuantile, prepareTemporal, startTemporal } from '../support/temporal.mjs';

export const summary = 'a codec that stands still for 400 ms in one call of ten makes every workflow late';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const KEY_SERVICE_MILLIS = '400';
const CULPRIT = { functionName: 'syncFetch', file: 'sync-fetch.mjs' };
const VARIANTS = [
  { name: 'blocking', codec: 'blocking' },
  { name: 'in threads', codec: 'thread' },
  { name: 'asynchronous', codec: 'async' },
];
const MEASURES = ['workflow', 'task', 'schedule to start'];
/** What Temporal calls these. */
const LATENCIES = ['workflow_endtoend_latency', 'activity_execution_latency', 'activity_schedule_to_start_latency'];

/** `--engine`: what it needs beside npm; throws with a line on how to get what is missing. */
export const engine = { name: 'Temporal', prepare: prepareTemporal };

/** The service, on an in-process queue or on a real Temporal. */
const EMBEDDED = { server: here('./server.mjs'), measures: measuredByItself };
const TEMPORAL = { server: here('./temporal/server.mjs'), measures: measuredByTemporal };

export async function run({ report, quick, engine }) {
  const workflows = quick ? 20 : 40;
  const keyService = await start(here('../support/slow-server.mjs'), { env: { MILLIS: KEY_SERVICE_MILLIS } });
  if (engine) report.step('Starting Temporal');
  const temporal = engine ? await startTemporal() : undefined;
  const world = { ...(engine ? TEMPORAL : EMBEDDED), env: { KEY_SERVICE: keyService.url, ...temporal?.env } };
  await atYourDesk(report, world);

  const results = [];
  for (const { name, codec } of VARIANTS) {
    report.step(`${workflows} workflows at once, codec ${name}`);
    results.push({ name, ...(await measure(world, codec, workflows)) });
  }
  await end(keyService);
  await temporal?.kill();

  const [blocking, ...repaired] = results;
  const found = blocking.places.find((place) => isAt(place, CULPRIT));
  if (found) {
    report.say(`\nIn production: "${found.span}" of ${found.request}, in ${describePlace(found)},`);
    report.say(
      `${found.count} blocks of ${millis(found.totalMillis)} in all, cause ${[...found.causes].join(', ') || 'not certain'}`,
    );
    report.say(`  ${lineAt(found)}`);
  }
  report.table(
    [engine ? "by Temporal's metrics" : 'codec', ...MEASURES.map((measure) => `${measure} p95`), 'loop blocked'],
    results.map(({ name, values, blocked }) => [name, ...values.map(millis), millis(blocked)]),
  );
  const file = join(tmpdir(), 'payload-codec.svg');
  const { chart } = await import('./chart.mjs');
  writeFileSync(file, chart(`${workflows} workflows, p95`, MEASURES, results));
  report.say(`  As a chart: ${file}\n`);

  report.check(
    'the blocked time was put down to "encode payload", syncFetch and its line',
    found?.span === 'encode payload' && lineAt(found).includes('Atomics.wait('),
  );
  for (const { name, values, places } of repaired) {
    report.check(`${name}: no block in the codec any more`, blockedAt(places, CULPRIT) === 0);
    // A quick one is a test, for which how soon is the machine's affair.
    if (!quick) report.check(`${name}: workflows are through sooner (p95)`, values[0] < blocking.values[0]);
  }
}

/** Without an SDK, and without a change to the service. */
async function atYourDesk(report, { server, env }) {
  report.step('At your desk: node --import opentelemetry-instrumentation-event-loop/debug server.mjs');
  const service = await start(server, {
    imports: ['opentelemetry-instrumentation-event-loop/debug'],
    env: { ...env, CODEC: 'blocking', METRICS_ADDRESS: `127.0.0.1:${await freePort()}` },
  });
  let id = 0;
  await until(async () => {
    await Promise.all([1, 2, 3].map(() => send(`${service.url}/orders`, { method: 'POST', body: { id: id++ } })));
    return service.stderr.includes('syncFetch');
  }, './debug to name the block');
  await end(service);
  const lines = service.stderr.trimEnd().split('\n');
  const summaryAt = lines.findLastIndex((line) => line.startsWith('event loop blocked'));
  report.say(lines.slice(summaryAt, summaryAt + 4).join('\n'));
  report.check(
    './debug named the function and its line, without any SDK',
    lines.slice(summaryAt).some((line) => /syncFetch \(.*sync-fetch\.mjs:\d+:\d+\)/.test(line)),
  );
}

async function measure({ server, measures, env }, codec, workflows) {
  const receiver = await startReceiver();
  const metricsAddress = `127.0.0.1:${await freePort()}`;
  const service = await start(server, {
    receiver,
    name: 'orders',
    env: { ...env, CODEC: codec, METRICS_ADDRESS: metricsAddress },
  });
  const sent = await Promise.all(
    Array.from({ length: workflows }, (_, id) => send(`${service.url}/orders`, { method: 'POST', body: { id } })),
  );
  const failed = sent.filter(({ status, text }) => status !== 200 || JSON.parse(text).shipped !== true);
  if (failed.length > 0) throw new Error(`${failed.length} workflows failed: ${failed[0].status} ${failed[0].text}`);
  const values = await measures({ metricsAddress, receiver, sent, ending: () => end(service) });
  receiver.close();
  return { values, blocked: blockedMillis(receiver), places: culprits(receiver) };
}

async function measuredByItself({ receiver, sent, ending }) {
  await ending();
  const tasks = receiver.spans.filter(({ name }) => name.startsWith('task '));
  const p95 = (values) => quantile(values, 0.95);
  return [
    p95(sent.map((it) => it.millis)),
    p95(tasks.map((task) => task.end - task.start)),
    p95(tasks.map(({ attributes }) => attributes['task.schedule_to_start'])),
  ];
}

async function measuredByTemporal({ metricsAddress, ending }) {
  const response = await fetch(`http://${metricsAddress}/metrics`);
  const metrics = await response.text();
  await ending();
  return LATENCIES.map((name) => histogramQuantile(metrics, `temporal_${name}`, 0.95));
}
