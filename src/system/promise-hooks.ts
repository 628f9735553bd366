// SPDX-License-Identifier: Apache-2.0
import { AsyncLocalStorage, createHook } from 'node:async_hooks';

/** Node.js ≥24 keeps the context in V8 (AsyncContextFrame); before, and with `--no-async-context-frame`, in async_hooks. */
export const HAS_ASYNC_CONTEXT_FRAME = !('_propagate' in AsyncLocalStorage.prototype);

/**
 * Whether V8's promise hooks tell of promise jobs, and async_hooks of all else. Elsewhere async_hooks follows promises, and
 * to be told of the end of each job as well is dear: Node's `emitHook` looks hooks up by their kind, V8 optimises that look-up
 * for one kind only, and two kinds cost four times as much as one.
 */
export const PROMISES_APART = HAS_ASYNC_CONTEXT_FRAME && knowsTrackPromises();

/** Where the option is known, it refuses to go together with `promiseResolve`; elsewhere it is ignored. */
function knowsTrackPromises(): boolean {
  try {
    createHook({ promiseResolve() {}, trackPromises: false } as Parameters<typeof createHook>[0]);
    return false;
  } catch {
    return true;
  }
}
