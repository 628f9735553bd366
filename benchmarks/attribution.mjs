// SPDX-License-Identifier: Apache-2.0
// Which attributions the built package knows, so that a benchmark does not measure another one than it says.
import { DiagLogLevel, diag } from '@opentelemetry/api';
import { EventLoopInstrumentation } from 'opentelemetry-instrumentation-event-loop';
import { FLOORS } from './lean.mjs';

/** Modes of the benchmarks that are no attributions; see server.mjs and lean.mjs. */
const OTHER_MODES = ['otel', 'event-loop', ...Object.keys(FLOORS)];

/** Ends the process with 1 where the package does not know the attribution of one of `modes`. */
export function requireAttributions(modes) {
  for (const attribution of modes.filter((mode) => !OTHER_MODES.includes(mode) && !mode.includes('@'))) {
    const lines = [];
    const keep = (...words) => lines.push(words.join(' '));
    const logger = { error: keep, warn: keep, info() {}, debug() {}, verbose() {} };
    diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
    new EventLoopInstrumentation({ attribution, watchdog: false }).disable();
    diag.disable();
    const refusal = lines.find((line) => line.includes('option "attribution"'));
    if (refusal === undefined) continue;
    console.error(`this build does not know attribution '${attribution}': ${refusal}`);
    process.exit(1);
  }
}
