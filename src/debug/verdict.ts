// SPDX-License-Identifier: Apache-2.0
import { isMainThread } from 'node:worker_threads';
import { countedMillis, describeFinding, type Finding } from './finding.js';
import type { DebugOptions } from './options.js';
import { Relatives, type Told } from './relatives.js';

/** More lines nobody reads. */
const MAX_LINES = 20;

/** Holds what blocks this process against the limit, and where it is the first of its family, what blocked the others. */
export class GuardVerdict {
  private readonly _relatives = new Relatives(process.env);
  private readonly _own: Told[] = [];
  private _others: Told[] | undefined;

  constructor(private readonly _options: DebugOptions & { readonly failOverMillis: number }) {}

  add(finding: Finding): void {
    const { failOverMillis, countLoading } = this._options;
    const millis = countedMillis(finding, countLoading);
    if (millis <= failOverMillis) return;
    const told = { millis, text: describeFinding(finding, millis) };
    if (this._relatives.isHead || !this._relatives.tell(told)) this._own.push(told);
  }

  /** To be asked at the end of the process: all that blocked for too long, worst first, a line each. */
  lines(): string[] {
    const { failOverMillis } = this._options;
    const all = this._all().sort((a, b) => b.millis - a.millis);
    const lines = all.slice(0, MAX_LINES).map(({ text }) => `failed, over ${failOverMillis} ms: ${text}`);
    return all.length > MAX_LINES ? [...lines, `and ${all.length - MAX_LINES} more`] : lines;
  }

  /**
   * What the process is to end with where it would have ended with 0. One that serves a pool of a runner's does not end for
   * good where it ends with that: the runner would start it once more.
   */
  get exitCode(): number {
    if (!isMainThread || (!this._relatives.isHead && process.send !== undefined)) return 0;
    return this._all().length > 0 || this._relatives.hasTold ? 1 : 0;
  }

  private _all(): Told[] {
    this._others ??= this._relatives.isHead ? this._relatives.take() : [];
    return [...this._own, ...this._others];
  }
}
