// SPDX-License-Identifier: Apache-2.0
import { type Context, createContextKey, type Span, trace } from '@opentelemetry/api';

/** The key of `suppressTracing()` in `@opentelemetry/core`; context keys of one name are one, whoever creates them. */
const SUPPRESS_TRACING = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING');

/**
 * Whose time it is while `context` is active. Nobody's where tracing is suppressed: a batch processor exports in the
 * context of whichever span happened to start its timer, and all SDKs suppress tracing there.
 */
export function spanOf(context: Context): Span | undefined {
  // Other SDKs' stores and spans need not be what the API says they are.
  if (typeof context.getValue !== 'function') return undefined;
  const span: unknown = trace.getSpan(context);
  if (span === null || typeof span !== 'object') return undefined;
  return context.getValue(SUPPRESS_TRACING) === true ? undefined : (span as Span);
}

/** `context` with tracing suppressed, as `suppressTracing()` of `@opentelemetry/core` has it. */
export function suppressTracing(context: Context): Context {
  return context.setValue(SUPPRESS_TRACING, true);
}
