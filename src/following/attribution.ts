// SPDX-License-Identifier: Apache-2.0
import type { StartUp } from '../recorder/start-up.js';

/** How late a beat may be before a look, where none is needed to follow: half of the shortest block is over. Milliseconds. */
export function halfOfBlock(thresholdMillis: number): number {
  return Math.max(thresholdMillis / 2, 5);
}

/** Who finds out whose time the loop's was, from {@link start} to {@link stop}, and tells its listener of busy iterations. */
export interface Attribution {
  /** As the option of that name has it. */
  readonly kind: 'exact' | 'on-demand' | 'none';

  /**
   * @param startUp given while the program still loads its modules, which is no block.
   * @throws where it cannot be had here; then nothing of it is left on.
   */
  start(startUp: StartUp | undefined): void;

  /** Takes off all that {@link start} has put on, without a trace. */
  stop(): void;

  /** The timer of our own beat, whose callback says nothing about the loop; another one whenever the pace has changed. */
  followBeat(timer: object): void;

  /** The loop has turned to its beat, so late. */
  beat(lateMillis: number): void;

  /**
   * Asked at the end of each beat: how far apart they are to be from now on, if `usual` is what was wished for. A process
   * with nothing to do is woken rarely; to wake it takes more of a core than anything that we do then. Milliseconds.
   */
  paceMillis(usual: number): number;

  /** How late a beat may be before the watchdog is to look, in milliseconds. Asked at the end of each beat. */
  readonly mostLateMillis: number;

  /** A look of the watchdog interrupts whatever runs now; see `WatchdogListener`. */
  look(isPrompt: boolean): void;

  /** How long the iteration that still runs has been busy, in milliseconds; undefined where that is not followed. */
  runningMillis(): number | undefined;

  /**
   * What runs from now on makes no block.
   *
   * @returns a function that ends this.
   */
  allow(): () => void;

  /** Tells of what is known by now, the iteration that still runs included. */
  flush(): void;
}
