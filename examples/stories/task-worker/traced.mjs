// SPDX-License-Identifier: Apache-2.0
// Each task in a CONSUMER span, and a warning where it started late: with who held it up, which is known once the block is.
import { subscribe } from 'node:diagnostics_channel';
import { setTimeout as sleep } from 'node:timers/promises';
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';

const LATE_MILLIS = 500;
/** A block is told as soon as the loop turns again; this is more than enough. */
const TOLD_AFTER_MILLIS = 250;
const KEPT = 50;

const tracer = trace.getTracer('worker');
const blocks = [];
subscribe('opentelemetry-instrumentation-event-loop:block', (block) => {
  blocks.push(block);
  if (blocks.length > KEPT) blocks.shift();
});

export function traced(name, task) {
  return (payload, { job }) => {
    const dueAt = job.run_at.getTime();
    const startedAt = Date.now();
    const attributes = { 'task.time_to_start': startedAt - dueAt };
    if (startedAt - dueAt > LATE_MILLIS) warn(name, dueAt, startedAt);
    return tracer.startActiveSpan(`task ${name}`, { kind: SpanKind.CONSUMER, attributes }, async (span) => {
      try {
        await task(payload);
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
        throw error;
      } finally {
        span.end();
      }
    });
  };
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
