// SPDX-License-Identifier: Apache-2.0
import { AsyncLocalStorage, createHook, executionAsyncResource } from 'node:async_hooks';
import * as v8 from 'node:v8';
import type { Context } from '@opentelemetry/api';
import type { SliceRecorder } from '../recorder/recorder.js';

/** Node.js ≥24 keeps the context in V8 (AsyncContextFrame); before, and with `--no-async-context-frame`, in async_hooks. */
export const HAS_ASYNC_CONTEXT_FRAME = !('_propagate' in AsyncLocalStorage.prototype);

interface HookOptions {
  before(asyncId: number): void;
  after?(asyncId: number): void;
  /** https://github.com/nodejs/node/pull/61415; ignored without a word where it is not known. */
  trackPromises?: boolean;
}

/**
 * Feeds the recorder from async_hooks and, where they can be had apart, from V8's promise hooks.
 * Neither `init` nor `destroy` is installed: they are what makes other users of async_hooks slow. Nor is `after`, where
 * async_hooks follows promises: Node's `emitHook` looks hooks up by their kind, V8 optimises that look-up for one kind
 * only, and two kinds cost four times as much as one.
 *
 * @returns a function that removes every hook again.
 */
export function installHooks(recorder: SliceRecorder): () => void {
  const promisesApart = HAS_ASYNC_CONTEXT_FRAME && knowsTrackPromises();

  const options: HookOptions = {
    before: () => {
      let resource: object = STRANGER;
      let context: Context | undefined;
      let isReaction = false;
      let isJob = false;
      // A throw in here ends the process, and a try costs nothing unless something is thrown.
      try {
        resource = executionAsyncResource();
        context = recorder.contextOf(resource);
        isReaction = !promisesApart && resource instanceof Promise;
        isJob = isReaction || isTick(resource);
      } catch {
        resource = STRANGER;
      }
      if (isReaction) recorder.enterReaction(context);
      else if (isJob) recorder.enterTick(context);
      else recorder.enterCallback(resource, context);
    },
  };
  if (promisesApart) options.trackPromises = false;
  recorder.seesReturns = promisesApart || recorder.needsReturns;
  if (recorder.seesReturns) options.after = () => recorder.leaveCallback();
  const hook = createHook(options).enable();

  const stopPromiseHook = promisesApart
    ? (v8.promiseHooks.onBefore(() => recorder.enterPromiseJob()) as unknown as () => void)
    : undefined;

  return () => {
    hook.disable();
    stopPromiseHook?.();
  };
}

/**
 * In place of a resource that cannot be read: any object of the application's can be one, with accessors or as a proxy,
 * and so can `undefined`, where a native addon or Node.js itself gives none.
 */
const STRANGER = Object.freeze({});

/** Native addons have plain objects for resources, too. To ask for the prototype takes V8 longer than for the constructor. */
function isTick(resource: { constructor: unknown; callback?: unknown }): boolean {
  return resource.constructor === Object && resource.callback !== undefined;
}

/** Where the option is known, it refuses to go together with `promiseResolve`; elsewhere it is ignored. */
function knowsTrackPromises(): boolean {
  try {
    createHook({ promiseResolve() {}, trackPromises: false } as Parameters<typeof createHook>[0]);
    return false;
  } catch {
    return true;
  }
}
