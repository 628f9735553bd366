// SPDX-License-Identifier: Apache-2.0
import { API_KEY, type ApiGlobal, holder } from '../otel/registered.js';

/**
 * Calls `onManager` in the moment in which a context manager is registered: NodeSDK does so only after it has enabled
 * its instrumentations, and a span may block before the loop turns for the first time.
 * Instead of wrapping one copy of the API package this waits at the global that all copies share; the accessors turn
 * back into plain properties as soon as something is assigned.
 *
 * @returns a function that stops waiting.
 */
export function whenContextManagerAppears(onManager: () => void): () => void {
  let stopInner: (() => void) | undefined;
  const waitForContext = (api: ApiGlobal): void => {
    stopInner = waitForProperty(api as Record<string, unknown>, 'context', onManager);
  };
  const api = holder[API_KEY];
  if (api) {
    waitForContext(api);
    return () => stopInner?.();
  }
  const stopOuter = waitForProperty(holder as Record<symbol, unknown>, API_KEY, (value) => {
    waitForContext(value as ApiGlobal);
  });
  return () => {
    stopOuter();
    stopInner?.();
  };
}

function waitForProperty<K extends string | symbol>(
  target: Record<K, unknown>,
  key: K,
  onValue: (value: unknown) => void,
): () => void {
  if (target[key] !== undefined) return () => {};
  const get = (): undefined => undefined;
  const become = (value: unknown): void => {
    Object.defineProperty(target, key, { value, configurable: true, enumerable: true, writable: true });
  };
  Object.defineProperty(target, key, {
    configurable: true,
    enumerable: true,
    get,
    set(value: unknown) {
      become(value);
      onValue(value);
    },
  });
  return () => {
    // Not deleted: V8 would keep the object as a dictionary for good, and the API reads it all the time.
    if (Object.getOwnPropertyDescriptor(target, key)?.get === get) become(undefined);
  };
}
