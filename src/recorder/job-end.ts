// SPDX-License-Identifier: Apache-2.0

/** Kept from load on: fake timers of a test must not hold up ours. */
const nextTick = process.nextTick;
const resolved = Promise.resolve();
const addPromiseJob = resolved.then.bind(resolved) as (job: () => void) => void;

/**
 * Finds out when JavaScript has returned. V8 tells when a promise job begins; to be told at the end of each as well would cost
 * as much again, and so it would for callbacks where async_hooks follows promises. An empty tick runs once after the last of
 * them: what follows and announces itself to nobody (a FinalizationRegistry, garbage collection in a task of its own) is then
 * not charged to the last job.
 */
export class JobEnd {
  private _isAwaited = false;
  private readonly _run = (): void => {
    this._isAwaited = false;
    this._onEnd();
  };

  /** @param _onEnd called when the last job has returned. */
  constructor(private readonly _onEnd: () => void) {}

  get isAwaited(): boolean {
    return this._isAwaited;
  }

  /** Per callback and per job. */
  await(): void {
    if (this._isAwaited) return;
    this._isAwaited = true;
    nextTick(this._run);
  }

  /** The same behind ticks, which bring forth ticks: Node.js runs them all, and only then promise jobs. */
  awaitBehindTicks(): void {
    if (this._isAwaited) return;
    this._isAwaited = true;
    addPromiseJob(this._run);
  }
}
