// SPDX-License-Identifier: Apache-2.0
// The one place of the queue, in memory that both threads see.
export const EMPTY = 0;
export const FULL = 1;

const MAX_BYTES = 64 * 1024;

/** `state`: whether there is a job, and of how many bytes of JSON; `bytes`: the job. */
export function places() {
  return {
    state: new Int32Array(new SharedArrayBuffer(8)),
    bytes: new Uint8Array(new SharedArrayBuffer(MAX_BYTES)),
  };
}
