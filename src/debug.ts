// SPDX-License-Identifier: Apache-2.0

/**
 * `node --import opentelemetry-instrumentation-event-loop/debug app.js`: prints each block on stderr, with no SDK at all.
 * Watches the main thread: a worker thread is where work belongs that would block it. With a limit, the process fails where a
 * block was longer, of whatever thread, and of the processes that it has started.
 */
import './system/own-code.js';
import { startDebug } from './debug/session.js';
import { debugSink } from './debug-sink.js';

// Once, also where both the command line and NODE_OPTIONS name it, or the ESM and the CommonJS copy are loaded.
if (debugSink() === undefined) startDebug();
