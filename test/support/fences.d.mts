// SPDX-License-Identifier: Apache-2.0
export interface Fence {
  /** `ts`, `sh`; empty where the block has none. */
  readonly language: string;
  /** What stands behind the language. */
  readonly info: string;
  readonly code: string;
  /** Of its first line of code, from 1. */
  readonly line: number;
}
export function fencesIn(text: string): Fence[];
export function lineOf(fence: { readonly info: string }): string | undefined;
