// SPDX-License-Identifier: Apache-2.0

/**
 * `node --import opentelemetry-instrumentation-event-loop/debug app.js`: prints each block on stderr, with no SDK at all.
 * Watches the main thread: a worker thread is where work belongs that would block it.
 */
import './system/own-code.js';
import { isMainThread } from 'node:worker_threads';
import { startDebug } from './debug/session.js';
import { debugSink } from './debug-sink.js';

// Once, also where both the command line and NODE_OPTIONS name it, or the ESM and the CommonJS copy are loaded.
if (isMainThread && debugSink() === undefined) startDebug();
