// SPDX-License-Identifier: Apache-2.0
import { executionAsyncResource } from 'node:async_hooks';
import { readOff } from '../system/foreign.js';

/**
 * In place of a resource that cannot be read: any object of the application's can be one, with accessors or as a proxy,
 * and so can `undefined`, where a native addon or Node.js itself gives none.
 */
export const STRANGER = Object.freeze({});

interface Tick {
  readonly constructor: unknown;
  readonly callback?: unknown;
}

/** Of ticks: a class of Node.js's own since 26.12, `Object` before; undefined until one was seen. */
let tickConstructor: unknown;

/** Native addons have plain objects for resources, too. To ask for the prototype takes V8 longer than for the constructor. */
export function isTick(resource: Tick): boolean {
  const { constructor: made } = resource;
  if (tickConstructor === undefined) return isFirstTick(resource, made);
  return made === tickConstructor && resource.callback !== undefined;
}

function isFirstTick(resource: Tick, made: unknown): boolean {
  const isOne =
    resource.callback !== undefined &&
    'args' in resource &&
    (made === Object || (made as { name?: unknown } | undefined)?.name === 'TickObject');
  if (isOne) tickConstructor = made;
  return isOne;
}

/** Of the callback that runs; on Node.js 24 and 26, in a promise job, of the callback that it follows. */
export function currentResource(): object {
  return readOff(undefined, executionAsyncResource, STRANGER) ?? STRANGER;
}
