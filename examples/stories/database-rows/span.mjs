// SPDX-License-Identifier: Apache-2.0
import { trace } from '@opentelemetry/api';

const tracer = trace.getTracer('shop');

/** A span of its own around `fn`; it ends when what `fn` returns has settled. */
export function inSpan(name, fn) {
  return tracer.startActiveSpan(name, async (span) => {
    try {
      return await fn();
    } finally {
      span.end();
    }
  });
}
