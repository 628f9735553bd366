// SPDX-License-Identifier: Apache-2.0
// A warning where a task started late: with who held it up, which is known once the block is.
import { subscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';

const LATE_MILLIS = 500;
/** A block is told as soon as the loop turns again; this is more than enough. */
const TOLD_AFTER_MILLIS = 250;
const KEPT = 50;

const blocks = [];
subscribe('opentelemetry-instrumentation-event-loop:block', (block) => {
  blocks.push(block);
  if (blocks.length > KEPT) blocks.shift();
});

export function warnIfLate(name, dueAt, startedAt) {
  if (startedAt - dueAt > LATE_MILLIS) warn(name, dueAt, startedAt);
}

async function warn(name, dueAt, startedAt) {
  await sleep(TOLD_AFTER_MILLIS);
  const overlap = (block) => Math.min(startedAt, block.endTimeMillis) - Math.max(dueAt, block.startTimeMillis);
  const [longest] = blocks.filter((block) => overlap(block) > 0).sort((a, b) => overlap(b) - overlap(a));
  const by = longest
    ? `blocked by ${longest.blamed[0].name} in ${longest.location?.frame.text ?? 'unknown code'}`
    : 'not blocked';
  console.warn(`${name} took too long to start: ${startedAt - dueAt} ms, ${by}`);
}
