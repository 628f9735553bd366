// SPDX-License-Identifier: Apache-2.0
import { API_KEY, type ApiGlobal, holder } from '../otel/registered.js';

/**
 * Calls `onManager` in the moment in which a context manager is registered, and `onTracerProvider` in that in which a tracer
 * provider is: NodeSDK does so only after it has enabled its instrumentations, and a span may block before the loop turns for
 * the first time.
 * Instead of wrapping one copy of the API package this waits at the global that all copies share; the accessors turn
 * back into plain properties as soon as something is assigned.
 *
 * @returns a function that stops waiting.
 */
export function whenRegistered(onManager: () => void, onTracerProvider: () => void): () => void {
  const stops: (() => void)[] = [];
  const waitForBoth = (api: ApiGlobal): void => {
    const target = api as Record<string, unknown>;
    stops.push(waitForProperty(target, 'context', onManager));
    stops.push(
      waitForProperty(target, 'trace', (proxy) => {
        // What is registered stands for the provider, which it is given next.
        if (typeof proxy !== 'object' || proxy === null || !Object.isExtensible(proxy)) return;
        stops.push(waitForProperty(proxy as Record<string, unknown>, '_delegate', onTracerProvider));
      }),
    );
  };
  const api = holder[API_KEY];
  if (api) {
    waitForBoth(api);
  } else {
    const onApi = (value: unknown): void => waitForBoth(value as ApiGlobal);
    stops.push(waitForProperty(holder as Record<symbol, unknown>, API_KEY, onApi));
  }
  return () => {
    for (const stop of stops) stop();
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
