// SPDX-License-Identifier: Apache-2.0

/**
 * Replaces `target[name]`, looking like the original to whoever inspects it.
 *
 * @returns a function that puts everything back. Where somebody has wrapped over the replacement in the meantime
 * it stays in place, since taking it out would take theirs out too: replacements must pass through once disabled.
 */
export function patchMethod<T extends object>(
  target: T,
  name: keyof T & string,
  replacement: (...args: never[]) => unknown,
): () => void {
  const previous = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, {
    value: replacement,
    writable: true,
    configurable: true,
    enumerable: previous?.enumerable ?? false,
  });
  return () => {
    if (target[name] !== (replacement as unknown)) return;
    if (previous) Object.defineProperty(target, name, previous);
    else delete target[name];
  };
}
