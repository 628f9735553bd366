// SPDX-License-Identifier: Apache-2.0
import type { Block } from '../../src/types.js';

/** A block of 412 ms under no span, of which nothing else is known; `parts` are otherwise. */
export function blockOf(parts: Partial<Block> = {}): Block {
  const { durationMillis = 412 } = parts;
  const shares = parts.shares ?? parts.blamed ?? [{ span: undefined, name: '(no span)', durationMillis }];
  return {
    startTimeMillis: 0,
    endTimeMillis: durationMillis,
    durationMillis,
    thresholdMillis: 50,
    shared: false,
    approximate: false,
    blamed: shares,
    shares,
    location: undefined,
    hottest: undefined,
    functions: [],
    callbackCount: undefined,
    cause: undefined,
    cpuMillis: undefined,
    hostMillis: undefined,
    gcMillis: undefined,
    asyncResource: undefined,
    ...parts,
  };
}
