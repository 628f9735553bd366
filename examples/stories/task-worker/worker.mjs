// SPDX-License-Identifier: Apache-2.0
// A worker that runs ten tasks at a time. `TASKS` are those that it takes, `REPORT` is how far build-report is repaired.
import { run } from 'graphile-worker';
import { buildReport } from './build-report.mjs';
import { sendMail } from './send-mail.mjs';
import { traced } from './traced.mjs';

const TASKS = { 'send-mail': sendMail, 'build-report': buildReport };
const taken = (process.env.TASKS ?? Object.keys(TASKS).join(',')).split(',');

const runner = await run({
  connectionString: process.env.DATABASE_URL,
  concurrency: 10,
  pollInterval: 100,
  noHandleSignals: true,
  noPreparedStatements: true,
  taskList: Object.fromEntries(taken.map((name) => [name, traced(name, TASKS[name])])),
});
process.send?.({ url: process.env.DATABASE_URL });
process.once('disconnect', () => runner.stop());
