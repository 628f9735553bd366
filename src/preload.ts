// SPDX-License-Identifier: Apache-2.0
import * as api from '@opentelemetry/api';
import { EventLoopInstrumentation } from './instrumentation.js';
import { PACKAGE_NAME, PACKAGE_VERSION } from './version.js';

type Logger = EventLoopInstrumentation['logger'];

/** What `./register` and `./debug` register: all its options are from the environment. */
export class PreloadedInstrumentation extends EventLoopInstrumentation {
  override get isPreloaded(): boolean {
    return true;
  }

  /**
   * It is the global one, whenever that appears. What is handed over here ahead of the SDK is a no-op, and may be one of
   * another copy of the API package (ESM and CommonJS), which nothing tells from one that somebody has chosen.
   */
  override setMeterProvider(): void {}

  /**
   * Logs are part of the API package from 1.10 on, while the base class looks in the package that they had before; and
   * they have no stand-in there until the SDK is up, so they are asked for anew.
   */
  protected override get logger(): Logger {
    const { logs } = api as { logs?: { getLogger(name: string, version: string): Logger } };
    return logs?.getLogger(PACKAGE_NAME, PACKAGE_VERSION) ?? super.logger;
  }
}
