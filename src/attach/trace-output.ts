// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { describeTrace } from '../debug/trace-file.js';
import { Refusal } from './refusal.js';

/** The trace file of a watch: the process tells what it holds, and it is ours. */
export class TraceOutput {
  private readonly _descriptor: number;
  private _failure: Error | undefined;
  /** Undefined until the last piece. */
  private _dropped: number | undefined;

  /** @throws Refusal where it cannot be written. */
  constructor(readonly path: string) {
    try {
      this._descriptor = openSync(path, 'w');
    } catch (error) {
      throw new Refusal(`no trace file: ${(error as Error).message}`);
    }
  }

  /** @param dropped given with the last piece. */
  write(text: string, dropped: number | undefined): void {
    if (this._failure !== undefined) return;
    try {
      writeFileSync(this._descriptor, text);
      this._dropped = dropped;
    } catch (error) {
      this._failure = error as Error;
    }
  }

  /** @returns what has become of it, in words. */
  close(): string {
    closeSync(this._descriptor);
    const isEnded = this._dropped !== undefined;
    const reason = this._failure?.message ?? (isEnded ? undefined : 'the process did not end it');
    return describeTrace(this.path, this._dropped ?? 0, reason);
  }
}
