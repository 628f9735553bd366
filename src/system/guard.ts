// SPDX-License-Identifier: Apache-2.0

/** Runs what the application must never hear of when it fails: that is said once for each task. */
export class Guard {
  private readonly _complained = new Set<string>();

  constructor(private readonly _log: { warn(message: string, ...details: unknown[]): void }) {}

  /** @param task completes "failed to …". */
  run(task: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      if (this._complained.has(task)) return;
      this._complained.add(task);
      this._log.warn(`failed to ${task}; further failures of this kind are not reported`, error);
    }
  }
}
