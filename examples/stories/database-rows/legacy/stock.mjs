// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const PSQL = fileURLToPath(new URL('../psql.mjs', import.meta.url));

/** From before there was a pool: the command line asks the database, and everybody waits for it. */
export function stockOf(id) {
  const output = execFileSync(process.execPath, [PSQL, `select stock from products where id = ${id}`]);
  return JSON.parse(output)[0].stock;
}
