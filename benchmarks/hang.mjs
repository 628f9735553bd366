// SPDX-License-Identifier: Apache-2.0
// `npm run bench:hang`: how soon a hang is reported, on stderr and at a collector; how long hangAction: abort takes from
// there; and how much later a process ends with the watchdog than without it. Both sides of each pair take turns, in one
// run. RUNS=10 is how often.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';

const RUNS = Number(process.env.RUNS ?? 10);
const THRESHOLD_MILLIS = 300;
const fixture = (name) => fileURLToPath(new URL(`../test/fixtures/${name}`, import.meta.url));

/** When the first report since arrived at the collector. */
let arrivedAt;
const collector = createServer((request, response) => {
  request.resume().on('end', () => {
    if (request.url === '/v1/traces') arrivedAt ??= performance.now();
    response.end();
  });
}).listen(0, '127.0.0.1');
await once(collector, 'listening');
const url = `http://127.0.0.1:${collector.address().port}`;

const rows = {};
const note = (what, millis) => {
  rows[what] ??= [];
  rows[what].push(millis);
};

for (let i = 0; i < RUNS; i++) {
  await hang();
  for (const moment of ['idle', 'blocked', 'looked at']) {
    const without = await endsAfter(moment, 'off');
    note(`exit while ${moment}, later than without the watchdog`, (await endsAfter(moment, 'on')) - without);
  }
}
collector.close();

const table = new Table({ head: ['milliseconds', 'p10', 'p50', 'p90', 'max'], style: { head: [] } });
for (const [what, values] of Object.entries(rows)) {
  values.sort((a, b) => a - b);
  const quantile = (q) => Math.round(values[Math.ceil(q * values.length) - 1]);
  table.push([what, quantile(0.1), quantile(0.5), quantile(0.9), quantile(1)]);
}
console.log(`Node.js ${process.version}, ${RUNS} runs, threshold ${THRESHOLD_MILLIS} ms`);
console.log(table.toString());

async function hang() {
  const options = JSON.stringify({ hangThresholdMillis: THRESHOLD_MILLIS, hangAction: 'abort', hangReportUrl: url });
  const env = { ...process.env, OTEL_METRICS_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: url };
  const child = spawn(process.execPath, [fixture('hang.cjs'), options], { env });
  const ended = once(child, 'exit');
  const [line] = await once(child.stdout, 'data');
  const base = `http://127.0.0.1:${JSON.parse(`${line}`.split('\n')[0]).port}`;
  await fetch(base);
  await fetch(`${base}/ready`);
  const hangs = once(child.stdout, 'data');
  fetch(`${base}/hang?kind=loop`).catch(() => {});
  await hangs;
  const startedAt = performance.now();
  arrivedAt = undefined;
  await once(child.stderr, 'data');
  note('line on stderr, behind the threshold', performance.now() - startedAt - THRESHOLD_MILLIS);
  await ended;
  if (arrivedAt === undefined) throw new Error('no report has arrived');
  note('report at the collector, behind the threshold', arrivedAt - startedAt - THRESHOLD_MILLIS);
  note('end by hangAction: abort, behind the report', performance.now() - arrivedAt);
}

/** How long the process took from its own last word to its end. */
async function endsAfter(moment, watchdog) {
  const env = { ...process.env, WATCHDOG: watchdog, OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' };
  const child = spawn(process.execPath, [fixture('safety.cjs'), `process.exit while ${moment}`], { env });
  let saidAt;
  child.stdout.on('data', (text) => {
    saidAt = Number(`${text}`.trim());
  });
  await once(child, 'close');
  return Date.now() - saidAt;
}
