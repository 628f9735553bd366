// SPDX-License-Identifier: Apache-2.0
// Each task in a CONSUMER span.
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { warnIfLate } from './late.mjs';

const tracer = trace.getTracer('worker');

export function traced(name, task) {
  return (payload, { job }) => {
    const dueAt = job.run_at.getTime();
    const startedAt = Date.now();
    const attributes = { 'task.time_to_start': startedAt - dueAt };
    warnIfLate(name, dueAt, startedAt);
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
