// SPDX-License-Identifier: Apache-2.0
// The ordinary set-up of an instrumented service, loaded with `node --import`. Nothing in it knows of the demo, and the stories load it as well: where
// the telemetry goes is said by the OTEL_* variables, as always.
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

// Once the server is closed nothing keeps the process alive: the moment to send what has not been sent yet.
process.once('beforeExit', () => sdk.shutdown());
