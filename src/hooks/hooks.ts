// SPDX-License-Identifier: Apache-2.0
import { createHook, executionAsyncResource } from 'node:async_hooks';
import * as v8 from 'node:v8';
import type { Context } from '@opentelemetry/api';
import type { SliceRecorder } from '../recorder/recorder.js';
import { PROMISES_APART } from '../system/promise-hooks.js';
import { isTick, STRANGER } from './current-resource.js';

interface HookOptions {
  before(asyncId: number): void;
  after?(asyncId: number): void;
  /** https://github.com/nodejs/node/pull/61415; ignored without a word where it is not known. */
  trackPromises?: boolean;
}

/**
 * Feeds the recorder from async_hooks and, where they can be had apart, from V8's promise hooks.
 * Neither `init` nor `destroy` is installed: they are what makes other users of async_hooks slow. Nor is `after`
 * for a recorder that does not ask for it.
 *
 * @returns a function that removes every hook again.
 */
export function installHooks(recorder: SliceRecorder): () => void {
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
        isReaction = !PROMISES_APART && resource instanceof Promise;
        isJob = isReaction || isTick(resource);
      } catch {
        resource = STRANGER;
      }
      if (isReaction) recorder.enterReaction(context);
      else if (isJob) recorder.enterTick(context);
      else recorder.enterCallback(resource, context);
    },
  };
  if (PROMISES_APART) options.trackPromises = false;
  if (recorder.seesReturns) options.after = () => recorder.leaveCallback();
  const hook = createHook(options).enable();

  const stopPromiseHook = PROMISES_APART
    ? (v8.promiseHooks.onBefore(() => recorder.enterPromiseJob()) as unknown as () => void)
    : undefined;

  return () => {
    hook.disable();
    stopPromiseHook?.();
  };
}
