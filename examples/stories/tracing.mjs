// SPDX-License-Identifier: Apache-2.0
// The ordinary set-up of an instrumented service, loaded with `node --import`, the same in every story.
import { FastifyOtelInstrumentation } from '@fastify/otel';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { EventLoopInstrumentation } from 'opentelemetry-instrumentation-event-loop';

const sdk = new NodeSDK({
  instrumentations: [
    new HttpInstrumentation(),
    new FastifyOtelInstrumentation({ registerOnInitialization: true }),
    new EventLoopInstrumentation(), // the one line
  ],
});
sdk.start();

// Once nothing keeps the process alive: the moment to send what has not been sent yet.
process.once('beforeExit', () => sdk.shutdown());
