// SPDX-License-Identifier: Apache-2.0
import * as api from '@opentelemetry/api';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { EventLoopInstrumentation } from './instrumentation.js';

type LoggerProvider = NonNullable<Parameters<typeof registerInstrumentations>[0]['loggerProvider']>;

/** What `./register` and `./debug` register: all its options are from the environment. */
export class PreloadedInstrumentation extends EventLoopInstrumentation {
  override get isPreloaded(): boolean {
    return true;
  }
}

/** Registers with the global providers, whether the SDK is up already or comes later. */
export function preload(instrumentation: PreloadedInstrumentation): void {
  // Logs are part of the API package from 1.10 on; the base class looks in the package that they had before.
  const { logs } = api as { logs?: { getLoggerProvider(): LoggerProvider } };
  registerInstrumentations({
    instrumentations: [instrumentation],
    ...(logs && { loggerProvider: logs.getLoggerProvider() }),
  });
}
