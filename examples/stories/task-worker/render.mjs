// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';

const ROWS = 800_000;

/** Seconds of computation: a checksum over each row and all before it. */
export function render({ at }) {
  let checksum = String(at);
  for (let row = 0; row < ROWS; row++) {
    checksum = createHash('sha256').update(checksum).update(String(row)).digest('hex');
  }
  return checksum;
}
