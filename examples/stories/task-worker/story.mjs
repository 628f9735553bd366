// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { blocksIn, culprits, describePlace, isAt, lineAt } from '../support/culprits.mjs';
import { prepareHatchet, startHatchet } from '../support/hatchet.mjs';
import { end, start, until } from '../support/process.mjs';
import { startReceiver } from '../support/receiver.mjs';
import { millis, quantile } from '../support/report.mjs';

export const summary = 'a worker runs ten tasks at once, and one that is async stands in the way of all of them';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const SALES_MILLIS = '1000';
const CLIENT = { functionName: 'syncFetch', file: 'sync-fetch.mjs', line: 'Atomics.wait(' };
const RENDER = { functionName: 'render', file: 'render.mjs' };
const MAIL_EVERY_MILLIS = 50;

const VARIANTS = [
  { name: 'as it is', report: 'as-it-is', culprits: [CLIENT, RENDER] },
  { name: 'an async client', report: 'async-client', culprits: [RENDER] },
  { name: 'computed in a thread', report: 'thread', culprits: [] },
  { name: 'a process of its own', report: 'async-client', separate: true, culprits: [] },
];

/** `--engine`: what it needs beside npm; throws with a line on how to get what is missing. */
export const engine = { name: 'Hatchet on PostgreSQL', prepare: prepareHatchet };

/** The span around a task: the worker's own, or that of Hatchet's instrumentor. */
const EMBEDDED = { folder: './', spanOf: (task) => `task ${task}`, also: [] };
const HATCHET = {
  folder: './hatchet/',
  spanOf: (task) => `hatchet.start_step_run.${task}:${task}`,
  also: [here('./hatchet/tracing.mjs')],
};

export async function run({ report, quick, engine }) {
  const { folder, spanOf, also } = engine ? HATCHET : EMBEDDED;
  report.step(
    engine
      ? 'Starting Hatchet on PostgreSQL'
      : 'Starting a database (PGlite) in a process of its own, and the queue in it',
  );
  const server = await (engine ? startHatchet() : startPglite());
  const sales = await start(here('../support/slow-server.mjs'), { env: { MILLIS: SALES_MILLIS } });
  const { openQueue } = await import(`${folder}queue.mjs`);
  const queue = await openQueue(server.env);
  const env = { ...server.env, SALES_SERVICE: sales.url };
  const world = { worker: here(`${folder}worker.mjs`), env, queue, spanOf, also, reports: quick ? 1 : 2 };

  await atYourDesk(report, world);
  const results = [];
  for (const variant of VARIANTS) {
    report.step(`The worker, ${variant.name}`);
    results.push({ ...variant, ...(await measure(world, variant)) });
  }
  await queue.close();
  await Promise.all([server.kill(), end(sales)]);

  const [asItIs] = results;
  report.say(`\nAs it is, ${asItIs.warnings.length} warnings, the last of which is:\n  ${asItIs.warnings.at(-1)}`);
  report.say(
    `and ${asItIs.stalled} spans of tasks are marked as stalled and linked to the block that they waited for.\n`,
  );
  for (const { name, places, culprits: expected } of results) {
    for (const culprit of expected) {
      const found = places.find((place) => isAt(place, culprit));
      if (found) {
        report.say(
          `${name}: "${found.span}" in ${describePlace(found)}, ${millis(found.totalMillis)}, ${[...found.causes].join(', ') || 'not certain'}`,
        );
        report.say(`  ${lineAt(found)}`);
      }
      report.check(
        `${name}: the blocked time was put down to ${spanOf('build-report')}, ${culprit.functionName} and its line`,
        found?.span === spanOf('build-report') && lineAt(found).includes(culprit.line ?? ''),
      );
    }
    for (const culprit of [CLIENT, RENDER].filter((it) => !expected.includes(it))) {
      report.check(
        `${name}: no block in ${culprit.functionName} any more`,
        !places.some((place) => isAt(place, culprit)),
      );
    }
  }
  report.table(
    ['time to start of send-mail', 'mails', 'p50', 'p95', 'max', 'loop blocked'],
    results.map(({ name, starts, places }) => [
      name,
      starts.length,
      ...[0.5, 0.95, 1].map((share) => millis(quantile(starts, share))),
      millis(places.reduce((sum, { totalMillis }) => sum + totalMillis, 0)),
    ]),
  );
  report.check(
    'a late task said what held it up: the span, the function and the line',
    asItIs.warnings.some(
      (warning) =>
        warning.match(/send-mail .* blocked by (.+) in .*(?:syncFetch|render) \(.+:\d+:\d+\)/)?.[1] ===
        spanOf('build-report'),
    ),
  );
  report.check(
    'a task that ran or was ready meanwhile is marked as stalled and linked to the block',
    asItIs.stalled > 0,
  );
  const late = ({ starts }) => quantile(starts, 0.95);
  // A quick one is a test, for which how soon is the machine's affair.
  for (const { name, ...repaired } of quick ? [] : results.slice(2)) {
    report.check(`${name}: tasks start sooner (p95)`, late(repaired) < late(asItIs));
  }
}

async function startPglite() {
  const database = await start(here('../support/pglite.mjs'));
  return { env: { DATABASE_URL: database.url }, kill: () => end(database) };
}

/** Without an SDK, and without a change to the worker. */
async function atYourDesk(report, { worker: file, env, queue }) {
  report.step('At your desk: node --import opentelemetry-instrumentation-event-loop/debug worker.mjs');
  const worker = await start(file, {
    imports: ['opentelemetry-instrumentation-event-loop/debug'],
    env: { ...env, REPORT: 'as-it-is' },
  });
  await queue.add('build-report');
  await until(() => /syncFetch/.test(worker.stderr) && /> render/.test(worker.stderr), './debug to name both');
  await queue.allDone();
  await end(worker);
  const lines = worker.stderr.trimEnd().split('\n');
  const summaryAt = lines.findLastIndex((line) => line.startsWith('event loop blocked'));
  report.say(lines.slice(summaryAt, summaryAt + 5).join('\n'));
  const places = lines.slice(summaryAt).join('\n');
  report.check(
    './debug named both functions and their lines, without any SDK',
    /syncFetch \(.*:\d+:\d+\)/.test(places) && /render \(.*:\d+:\d+\)/.test(places),
  );
}

async function measure({ worker, env: shared, queue, spanOf, also, reports }, { report: state, separate }) {
  const receiver = await startReceiver();
  const env = { ...shared, REPORT: state };
  const workers = separate
    ? [
        await start(worker, { receiver, also, name: 'mails', env: { ...env, TASKS: 'send-mail' } }),
        // Whom it blocks is itself.
        await start(worker, { env: { ...env, TASKS: 'build-report' } }),
      ]
    : [await start(worker, { receiver, also, name: 'worker', env })];
  for (let i = 0; i < reports; i++) {
    await mails(queue, 8);
    await queue.add('build-report');
    await mails(queue, 40);
    await queue.allDone();
  }
  // Warnings come a little behind what they warn of.
  await sleep(500);
  for (const worker of workers) await end(worker);
  receiver.close();
  const mailTasks = receiver.spans.filter(({ name }) => name === spanOf('send-mail'));
  const blocks = new Set(blocksIn(receiver).map(({ id }) => id));
  return {
    places: culprits(receiver),
    starts: mailTasks.map((task) => task.attributes['task.time_to_start']),
    stalled: mailTasks.filter((task) => task.attributes['eventloop.stalled'] && task.links.some((id) => blocks.has(id)))
      .length,
    warnings: workers
      .flatMap(({ stderr }) => stderr.split('\n'))
      .filter((line) => line.includes('took too long to start')),
  };
}

async function mails(queue, count) {
  for (let i = 0; i < count; i++) {
    await queue.add('send-mail');
    await sleep(MAIL_EVERY_MILLIS);
  }
}
