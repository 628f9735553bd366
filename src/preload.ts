// SPDX-License-Identifier: Apache-2.0
import { EventLoopInstrumentation } from './instrumentation.js';

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
}
