// SPDX-License-Identifier: Apache-2.0
import { executionAsyncResource } from 'node:async_hooks';
import { readOff } from '../system/foreign.js';

/**
 * In place of a resource that cannot be read: any object of the application's can be one, with accessors or as a proxy,
 * and so can `undefined`, where a native addon or Node.js itself gives none.
 */
export const STRANGER = Object.freeze({});

/** Native addons have plain objects for resources, too. To ask for the prototype takes V8 longer than for the constructor. */
export function isTick(resource: { constructor: unknown; callback?: unknown }): boolean {
  return resource.constructor === Object && resource.callback !== undefined;
}

/** Of the callback that runs; on Node.js 24 and 26, in a promise job, of the callback that it follows. */
export function currentResource(): object {
  return readOff(undefined, executionAsyncResource, STRANGER) ?? STRANGER;
}
