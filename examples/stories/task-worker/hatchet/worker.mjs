// SPDX-License-Identifier: Apache-2.0
// The same worker on a real Hatchet: it runs ten tasks at a time. `TASKS` are those that it takes, `REPORT` is how far
// build-report is repaired. The spans around the tasks are those of Hatchet's instrumentor.
import { HatchetClient } from '@hatchet-dev/typescript-sdk/v1/index.js';
import { trace } from '@opentelemetry/api';
import { buildReport } from '../build-report.mjs';
import { warnIfLate } from '../late.mjs';
import { sendMail } from '../send-mail.mjs';

const TASKS = { 'send-mail': sendMail, 'build-report': buildReport };
const taken = (process.env.TASKS ?? Object.keys(TASKS).join(',')).split(',');

const hatchet = HatchetClient.init();
const workflows = taken.map((name) =>
  hatchet.task({ name, retries: 0, executionTimeout: '120s', scheduleTimeout: '120s', fn: timed(name, TASKS[name]) }),
);
const worker = await hatchet.worker(`worker-${process.pid}`, { workflows, slots: 10, handleKill: false });
const working = worker.start();
await worker.waitUntilReady();
process.send?.({ url: process.env.HATCHET_CLIENT_HOST_PORT });
process.once('disconnect', async () => {
  await worker.stop();
  await working;
});

function timed(name, task) {
  return async ({ dueAt }) => {
    const startedAt = Date.now();
    trace.getActiveSpan()?.setAttribute('task.time_to_start', startedAt - dueAt);
    warnIfLate(name, dueAt, startedAt);
    await task();
    return {};
  };
}
