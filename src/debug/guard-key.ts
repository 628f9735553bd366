// SPDX-License-Identifier: Apache-2.0

/** Under it, the guard of a thread is on the global of its main realm. */
export const GUARD_KEY = Symbol.for('opentelemetry-instrumentation-event-loop tests');
