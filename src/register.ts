// SPDX-License-Identifier: Apache-2.0

/**
 * `node --import opentelemetry-instrumentation-event-loop/register app.js`: the instrumentation, with its options from
 * the environment, for an SDK that is started from the command line as well, before or after this.
 */
import './system/own-code.js';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { PreloadedInstrumentation } from './preload.js';

registerInstrumentations({ instrumentations: [new PreloadedInstrumentation()] });
