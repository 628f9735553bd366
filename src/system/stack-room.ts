// SPDX-License-Identifier: Apache-2.0

/** Of undefined, by their number: an array that is made anew is garbage, in the midst of other people's code. */
const arrays = new Map<number, readonly undefined[]>();

/**
 * Whether the stack has room for so many words more. V8 asks for the room of all arguments before it passes them on,
 * however many of them are used.
 */
export function hasRoom(words: number): boolean {
  let array = arrays.get(words);
  if (array === undefined) {
    array = new Array(words).fill(undefined);
    arrays.set(words, array);
  }
  try {
    Reflect.apply(nothing, undefined, array);
    return true;
  } catch {
    return false;
  }
}

function nothing(): void {}
