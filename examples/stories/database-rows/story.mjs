// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { send, steadily } from '../support/client.mjs';
import { blockedAt, culprits, describePlace, isAt, lineAt, waitsIn } from '../support/culprits.mjs';
import { postgresPrograms, startPostgres } from '../support/engines.mjs';
import { end, start } from '../support/process.mjs';
import { startReceiver } from '../support/receiver.mjs';
import { millis, quantile } from '../support/report.mjs';

export const summary =
  'most requests are fast, bursts stall: five causes behind one symptom, and three of them are no block';

/** `--engine`: what it needs beside npm; throws with a line on how to get what is missing. */
export const engine = { name: 'PostgreSQL', prepare: postgresPrograms };

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const PGLITE = here('../support/pglite.mjs');
/** The span around what requests share. */
const ACQUIRE = 'acquire connection';
const SMALL_POOL = '2';
const POOL = '20';

/** What goes on at once before and after a repair says that it took effect, however slow the machine is. */
const PAYMENTS = {
  what: 'payments at once',
  in: (spans) => spans.filter(({ name }) => name === 'POST payments'),
  isBetter: (after, before) => after > before,
};
const DASHBOARD_WAITS = {
  what: 'queries of a dashboard that wait for a connection at once',
  in(spans) {
    const traces = new Set(spans.filter(({ name }) => name === 'handler - getDashboard').map(({ traceId }) => traceId));
    return spans.filter(({ name, traceId }) => name === ACQUIRE && traces.has(traceId));
  },
  isBetter: (after, before) => after < before / 4,
};

/** The causes in the order in which they are put right; `load` brings each of them out. */
const STEPS = [
  {
    part: 'stock',
    cause: 'a synchronous query',
    load: (url, quick) => inTurn(quick ? 3 : 10, (n) => send(`${url}/stock/${n + 1}`)),
    culprit: { span: 'handler - getStock', functionName: 'stockOf', file: 'stock.mjs', line: 'execFileSync(' },
  },
  {
    part: 'export',
    cause: '50,000 rows in one go',
    load: (url, quick) => inTurn(quick ? 1 : 4, () => send(`${url}/export`)),
    culprit: { span: 'handler - getExport', functionName: 'toCsv', file: 'export.mjs' },
  },
  {
    part: 'database',
    cause: 'one connection for all',
    load: (url, quick) => atOnce(quick ? 40 : 200, (n) => send(`${url}/checkout/${n + 1}`, { method: 'POST' })),
    atOnce: PAYMENTS,
  },
  {
    part: 'pool',
    cause: 'a pool of 2 for 200 requests',
    load: (url, quick) => atOnce(quick ? 40 : 200, (n) => send(`${url}/checkout/${n + 1}`, { method: 'POST' })),
    atOnce: PAYMENTS,
  },
  {
    part: 'dashboard',
    cause: '400 queries at once',
    load: (url, quick) => inTurn(quick ? 2 : 6, () => send(`${url}/dashboard`)),
    atOnce: DASHBOARD_WAITS,
  },
];

const atOnce = (count, sendOne) => Promise.all(Array.from({ length: count }, (_, n) => sendOne(n)));

async function inTurn(count, sendOne) {
  const sent = [];
  for (let n = 0; n < count; n++) {
    sent.push(await sendOne(n));
    await sleep(50);
  }
  return sent;
}

/** All five, or the one `step`, from 1. */
export async function run({ report, quick, step, engine }) {
  if (step !== undefined && !STEPS[step - 1]) throw new Error(`--step is 1 to ${STEPS.length}`);
  const isAsked = (index) => step === undefined || index === step - 1;
  report.step(`Starting a database (${engine ? 'PostgreSQL' : 'PGlite'}) in a process of its own`);
  const seed = readFileSync(here('./seed.sql'), 'utf8');
  const database = await (engine ? seededPostgres(seed) : start(PGLITE, { env: { SEED: seed } }));

  // A service for each state of the repairs: it shows that the last one holds, and what is still to be repaired.
  const results = STEPS.map(() => ({}));
  for (let repaired = 0; repaired <= STEPS.length; repaired++) {
    if (!isAsked(repaired) && !isAsked(repaired - 1)) continue;
    const parts = STEPS.slice(0, repaired).map(({ part }) => part);
    report.step(`The shop ${repaired === 0 ? 'as it is' : `with ${parts.join(', ')} repaired`}`);
    const receiver = await startReceiver();
    const env = {
      DATABASE_URL: database.url,
      REPAIRED: parts.join(','),
      POOL_MAX: parts.includes('pool') ? POOL : SMALL_POOL,
    };
    const shop = await start(here('./server.mjs'), { receiver, name: 'shop', env });
    await send(`${shop.url}/orders/1`);
    const seen = {};
    if (repaired > 0 && isAsked(repaired - 1)) seen.after = await measure(shop, STEPS[repaired - 1], quick);
    if (repaired < STEPS.length && isAsked(repaired)) seen.before = await measure(shop, STEPS[repaired], quick);
    await end(shop);
    receiver.close();
    if (seen.after) results[repaired - 1].after = withTelemetry(seen.after, receiver, STEPS[repaired - 1]);
    if (seen.before) results[repaired].before = withTelemetry(seen.before, receiver, STEPS[repaired]);
  }
  await (engine ? database.kill('SIGINT') : end(database));

  const shown = STEPS.map((it, index) => ({ ...it, ...results[index], number: index + 1 })).filter(
    ({ after }) => after,
  );
  for (const result of shown) tell(report, result, quick);
  report.table(
    ['cause', 'GET /orders/:id p95', 'repaired', 'connection p99', 'repaired', 'blocked in all', 'repaired'],
    shown.map(({ cause, before, after }) => {
      return [
        cause,
        ...[before, after].map((it) => millis(it.p95)),
        ...[before, after].map((it) => millis(it.acquire)),
        ...[before, after].map((it) => millis(it.blocked)),
      ];
    }),
  );
}

async function seededPostgres(seed) {
  const database = await startPostgres();
  const client = new pg.Client(database.url);
  await client.connect();
  await client.query(seed);
  await client.end();
  return database;
}

/** A steady flow of the fast request, while something goes on beside it. */
async function measure({ url }, { load }, quick) {
  const from = Date.now();
  const flow = steadily(25, (n) => send(`${url}/orders/${1 + (n % 1000)}`));
  const beside = await load(url, quick);
  const fast = await flow.stop();
  const failed = [...beside, ...fast].filter(({ status }) => status !== 200);
  if (failed.length > 0) throw new Error(`${failed.length} requests failed: ${failed[0].status} ${failed[0].text}`);
  const p95 = quantile(
    fast.map((it) => it.millis),
    0.95,
  );
  return { from, to: Date.now(), p95 };
}

/** What the spans say of that time: who blocked, and how long requests waited for a connection. */
function withTelemetry({ from, to, p95 }, { spans }, step) {
  const during = spans.filter(({ start }) => start >= from && start <= to);
  const places = culprits({ spans: during });
  const waits = waitsIn({ spans: during }, ACQUIRE);
  const acquiring = during.filter(({ name }) => name === ACQUIRE).map((span) => span.end - span.start);
  return {
    p95,
    places,
    blocked: places.reduce((sum, { totalMillis }) => sum + totalMillis, 0),
    ownBlocks: places
      .filter(({ causes }) => !causes.has('host'))
      .reduce((sum, { totalMillis }) => sum + totalMillis, 0),
    atOnce: step.atOnce && mostAtOnce(step.atOnce.in(during)),
    acquire: quantile(acquiring, 0.99),
    waited: waits.reduce((sum, { totalMillis }) => sum + totalMillis, 0),
    waits,
  };
}

/** A span begins at a whole millisecond, up to one too soon: what is shorter than two says nothing of what was beside it. */
function mostAtOnce(spans) {
  const changes = spans
    .filter(({ start, end }) => end - start > 2)
    .flatMap(({ start, end }) => [
      { at: start, by: 1 },
      { at: end - 2, by: -1 },
    ]);
  changes.sort((a, b) => a.at - b.at || a.by - b.by);
  let now = 0;
  return Math.max(0, ...changes.map(({ by }) => (now += by)));
}

/** How soon is checked for people; a quick one is a test, and that is the machine's affair. */
function tell(report, { number, cause, culprit, part, before, after, ...step }, quick) {
  report.say(`\n${number}. ${cause}`);
  if (culprit) {
    const found = before.places.find((place) => isAt(place, culprit));
    const ofAll =
      found &&
      `${millis(found.totalMillis)} in ${found.count} ${found.count === 1 ? 'block' : 'blocks'}, cause ${[...found.causes].join(', ') || 'not certain'}`;
    if (found) report.say(`   "${found.span}" in ${describePlace(found)}: ${ofAll}\n   ${lineAt(found)}`);
    report.check(
      `the blocked time was put down to ${culprit.span}, ${culprit.functionName} and its line`,
      found?.span === culprit.span && lineAt(found).includes(culprit.line ?? ''),
    );
    const left = blockedAt(after.places, { file: culprit.file });
    report.check(`verify: of it is left ${millis(left)}`, left < found?.totalMillis / 10);
    if (!quick) report.check(`verify: GET /orders/:id is faster beside it`, after.p95 < before.p95);
    return;
  }
  report.say(`   no block (${millis(before.blocked)} in all): the time is in "${ACQUIRE}", below`);
  for (const { request, count, totalMillis, longestMillis } of before.waits.slice(0, 2)) {
    report.say(
      `   "${request}", ${count} times: ${millis(totalMillis / count)} on average, ${millis(longestMillis)} at most`,
    );
  }
  report.check(`${part}: that wait was not reported as blocks`, before.ownBlocks < before.waited / 10);
  const { what, isBetter } = step.atOnce;
  report.check(`verify: ${what}: ${after.atOnce} and not ${before.atOnce}`, isBetter(after.atOnce, before.atOnce));
  if (!quick) report.check('verify: the time to acquire a connection (p99) went down', after.acquire < before.acquire);
}
