// SPDX-License-Identifier: Apache-2.0
import type { Iteration } from '../../src/model.js';
import type { RecorderListener } from '../../src/recorder/recorder.js';

/** Hears of all that a recorder tells, and keeps blocks: `onBlock` gets each iteration that was one. */
export function listenerFor(onBlock: (iteration: Iteration) => void): RecorderListener {
  return {
    onIteration() {},
    onBusyIteration: onBlock,
    onStartUp() {},
    onStarted() {},
    onBlockSoFar() {},
    onSpanEnding() {},
    onRanBehind() {},
    onCaughtUp() {},
    onWake() {},
  };
}
