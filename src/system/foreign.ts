// SPDX-License-Identifier: Apache-2.0

/**
 * Reads something off what belongs to others: objects of the application's can have accessors or be proxies, and be anything
 * where an object is expected. Not for what runs per callback, where the call would cost more than the `try`.
 *
 * @param read a function of the module's, so that nothing is made for the call.
 * @returns `otherwise` where that throws.
 */
export function readOff<T, R>(foreign: T, read: (foreign: T) => R, otherwise: R): R {
  try {
    return read(foreign);
  } catch {
    return otherwise;
  }
}

/** The name of the class of `object`; empty where it does not tell. */
export function classNameOf(object: object): string {
  return readOff(object, constructorName, '');
}

function constructorName(object: object): string {
  const name: unknown = object.constructor?.name;
  return typeof name === 'string' ? name : '';
}
