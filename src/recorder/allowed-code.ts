// SPDX-License-Identifier: Apache-2.0
import type { IterationLedger, IterationSetAside } from './iteration-ledger.js';

/** Code that is allowed to block: its time counts as its span's own, and as delay, but makes no block. */
export class AllowedCode {
  /** Busy time of this iteration that was allowed. */
  micros = 0;
  /** How deep in such code it is. */
  private _depth = 0;

  constructor(private readonly _ledger: IterationLedger) {}

  get isRunning(): boolean {
    return this._depth > 0;
  }

  /** Sets aside what ran so far in this iteration. */
  begin(): IterationSetAside {
    this._depth++;
    return this._ledger.setAside();
  }

  /** @returns how long it ran. */
  end(aside: IterationSetAside): number {
    const { busyMicros } = this._ledger;
    this._depth--;
    this._ledger.putBack(aside);
    this.micros += busyMicros;
    return busyMicros;
  }

  /** The iteration is over. */
  clear(): void {
    this.micros = 0;
  }
}
