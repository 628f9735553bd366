// SPDX-License-Identifier: Apache-2.0
import { jobsOf, Slot } from '../system/shared-memory.js';

/**
 * Counts callbacks, ticks and promise jobs as they begin: for the watchdog, which cannot see otherwise whether it still looks
 * at the callback that it meant to look at.
 */
export class RunCount {
  private _callbacksAtTurn = 0;

  /** @param _slots where {@link Slot.Callbacks} and {@link Slot.Jobs} are counted. */
  constructor(private readonly _slots: Int32Array) {}

  /** A callback of the event loop begins. */
  addCallback(): void {
    this._slots[Slot.Callbacks] = ((this._slots[Slot.Callbacks] as number) + 1) | 0;
  }

  /** A tick or a promise job begins. */
  addJob(): void {
    this._slots[Slot.Jobs] = ((this._slots[Slot.Jobs] as number) + 1) | 0;
  }

  /** Number of the tick or promise job that runs. */
  get job(): number {
    return this._slots[Slot.Jobs] as number;
  }

  /** Number of whatever runs. */
  get run(): number {
    return jobsOf(this._slots);
  }

  /** In this iteration. */
  get callbacks(): number {
    return ((this._slots[Slot.Callbacks] as number) - this._callbacksAtTurn) | 0;
  }

  /** The next iteration begins. */
  turn(): void {
    this._callbacksAtTurn = this._slots[Slot.Callbacks] as number;
  }
}
