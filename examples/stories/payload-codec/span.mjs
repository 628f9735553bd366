// SPDX-License-Identifier: Apache-2.0
import { trace } from '@opentelemetry/api';

const tracer = trace.getTracer('orders');

/** A span of its own around `fn`; it ends when what `fn` returns has settled. */
export function inSpan(name, options, fn) {
  return tracer.startActiveSpan(name, options, async (span) => {
    try {
      return await fn();
    } finally {
      span.end();
    }
  });
}
