// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from 'node:url';

/** The path of a file that is known by its URL; anything else as it is. */
export function toPath(file: string): string {
  return file.startsWith('file://') ? fileURLToPath(file) : file;
}
