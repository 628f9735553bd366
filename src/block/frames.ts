// SPDX-License-Identifier: Apache-2.0
import type { Block, StackFrame } from '../types.js';

/** All frames that are told of a block, one behind the other; see {@link withFrames}. */
export function framesOf({ location, functions, hottest }: Block): readonly StackFrame[] {
  const times = hottest ? [...functions, hottest] : functions;
  return [...(location?.stack ?? []), ...times.map(({ frame }) => frame)];
}

/** The block with `frames` in place of those that {@link framesOf} lists. */
export function withFrames(block: Block, frames: readonly StackFrame[]): Block {
  const { location, functions, hottest } = block;
  const stack = frames.slice(0, location?.stack.length ?? 0);
  const rest = frames.slice(stack.length);
  return {
    ...block,
    location: location && { ...location, frame: stack[0] ?? location.frame, stack },
    functions: functions.map((time, i) => ({ ...time, frame: rest[i] ?? time.frame })),
    hottest: hottest && { ...hottest, frame: rest[functions.length] ?? hottest.frame },
  };
}
