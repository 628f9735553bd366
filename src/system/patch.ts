// SPDX-License-Identifier: Apache-2.0

type Method = (this: never, ...args: never[]) => unknown;

/**
 * Replaces the method `name` of `target`, inherited or its own, by `replacement`, looking like the original to whoever
 * inspects it: name, length, properties of its own, whether it can be constructed, the property's flags. A target that
 * does not let itself be changed keeps its method.
 *
 * @param replacement written as a method in a literal, which like most originals is no constructor.
 * @returns a function that puts the original back: by assignment, because `delete` leaves the target slow for good
 * (V8 keeps it as a dictionary). Where somebody has wrapped over the replacement in the meantime it stays in place, since
 * taking it out would take theirs out too: replacements must pass through once disabled.
 */
export function patchMethod<T extends object>(target: T, name: keyof T & string, replacement: Method): () => void {
  const original = target[name] as unknown;
  if (typeof original !== 'function') return nothing;
  const flags = findProperty(target, name);
  const value = disguise(replacement, original as Method);
  const { writable = true, configurable = true, enumerable = false } = flags ?? {};
  if (!Reflect.defineProperty(target, name, { value, writable, configurable, enumerable })) return nothing;
  return () => {
    if (target[name] === (value as unknown)) Reflect.defineProperty(target, name, { value: original });
  };
}

/** Of the property that `object[name]` reads. */
function findProperty(object: object, name: string): PropertyDescriptor | undefined {
  for (let holder: object | null = object; holder !== null; holder = Object.getPrototypeOf(holder)) {
    const property = Object.getOwnPropertyDescriptor(holder, name);
    if (property) return property;
  }
  return undefined;
}

function disguise(replacement: Method, original: Method): Method {
  const result = Object.hasOwn(original, 'prototype') ? constructible(replacement, original) : replacement;
  for (const key of Reflect.ownKeys(original)) {
    Reflect.defineProperty(result, key, Object.getOwnPropertyDescriptor(original, key) as PropertyDescriptor);
  }
  const prototype = Object.getPrototypeOf(original);
  if (prototype !== Object.getPrototypeOf(result)) Object.setPrototypeOf(result, prototype);
  return result;
}

/** Methods that are plain functions, as most of Node.js's are, can be called with `new`; nothing of ours happens there. */
function constructible(replacement: Method, original: Method): Method {
  return function (this: unknown) {
    // biome-ignore lint/complexity/noArguments: passes on whatever was given, without an array
    if (new.target !== undefined) return Reflect.construct(original, arguments, new.target);
    // biome-ignore lint/complexity/noArguments: the same
    return Reflect.apply(replacement, this, arguments);
  } as Method;
}

function nothing(): void {}
