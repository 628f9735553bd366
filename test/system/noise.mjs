// SPDX-License-Identifier: Apache-2.0
// `npm run test:noise`: the suite with one busy process a core beside it. What fails here fails for the machine, and is
// no test. `npm run test:noise -- test/scenarios/hang.test.ts` runs what vitest is told to run.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';

const REPOSITORY = resolve(import.meta.dirname, '../..');
/** Busy for as long as it has a parent: also one that is killed leaves no noise behind. */
const BUSY = `const parent = process.ppid; while (process.ppid === parent) for (let i = 0; i < 1e8; i++);`;

const busy = Array.from({ length: availableParallelism() }, () =>
  spawn(process.execPath, ['-e', BUSY], { stdio: 'ignore' }),
);
const hush = () => {
  for (const child of busy) child.kill('SIGKILL');
};
process.once('exit', hush);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

const vitest = spawn(
  process.execPath,
  [join(REPOSITORY, 'node_modules/vitest/vitest.mjs'), 'run', ...process.argv.slice(2)],
  { cwd: REPOSITORY, stdio: 'inherit', env: { ...process.env, TEST_NOISE: '1' } },
);
const [code] = await once(vitest, 'exit');
process.exit(code ?? 1);
