// SPDX-License-Identifier: Apache-2.0
import type { Block } from '../types.js';
import { describeBlock } from '../words/sentence.js';

/** A block, and how much of it can be held against the code that ran. */
export interface Finding {
  readonly block: Block;
  /** How much of it was the loading of modules. Milliseconds. */
  readonly loadingMillis: number;
  /** `loading module "…" (required in …)`, where that was most of it. */
  readonly loading: string | undefined;
  /** In whose code most of it was seen, undefined where nobody's was. */
  readonly test: unknown;
}

/** What of a block is held against a limit: neither time without a core, nor, unless it counts, the loading of modules. */
export function countedMillis({ block, loadingMillis }: Finding, countLoading: boolean): number {
  const { durationMillis, hostMillis = 0 } = block;
  const ownMillis = Math.max(durationMillis - hostMillis, 0);
  return countLoading ? ownMillis : ownMillis * Math.max(1 - loadingMillis / durationMillis, 0);
}

/** @param millis how much of it is held against the limit. */
export function describeFinding({ block, loading }: Finding, millis: number): string {
  const { location, asyncResource, durationMillis } = block;
  // Without a stack it says what ran.
  const ran = location === undefined && asyncResource ? ` in ${asyncResource}, no stack` : '';
  const what = loading === undefined || location?.frame.loadedModule !== undefined ? '' : ` while ${loading}`;
  const less = millis > durationMillis * MOST ? '' : ` (${Math.round(millis)} ms of it count)`;
  return `${describeBlock(block)}${ran}${what}${less}`;
}

/** What is left out of account is worth a word where it is more than the rest. */
const MOST = 0.9;
