// SPDX-License-Identifier: Apache-2.0
import { type AsyncHook, createHook } from 'node:async_hooks';
import { currentResource } from './current-resource.js';

/** Tells of each callback of the event loop as it begins, and of nothing else: for a loop that is idle. */
export class WakeHook {
  private readonly _hook: AsyncHook;

  /** @param onCallback must not throw: that would end the process. */
  constructor(onCallback: (resource: object) => void) {
    const options = { before: () => onCallback(currentResource()), trackPromises: false };
    this._hook = createHook(options);
  }

  on(): void {
    this._hook.enable();
  }

  off(): void {
    this._hook.disable();
  }
}
