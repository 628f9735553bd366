// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'vitest';

it('leaves each fault of `npm run test:mutants` its place in the source', () => {
  execFileSync(process.execPath, [join(import.meta.dirname, '../system/mutants.mjs'), '--check'], { stdio: 'pipe' });
});
