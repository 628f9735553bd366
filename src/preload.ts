// SPDX-License-Identifier: Apache-2.0
import { switchedOffBy } from './config.js';
import { EventLoopInstrumentation } from './instrumentation.js';

/** What `./register` and `./debug` register: all its options are from the environment. */
export class PreloadedInstrumentation extends EventLoopInstrumentation {
  override get isPreloaded(): boolean {
    return true;
  }

  protected override _whyNot(environment: NodeJS.ProcessEnv): string | undefined {
    return super._whyNot(environment) ?? switchedOffBy(environment);
  }
}
