// SPDX-License-Identifier: Apache-2.0
// `npm run test:stories`, or `-- NAME…`: each story of examples/, shortened. Is the culprit found, does its repair help? A
// check that does not hold fails, and so does a story that does not come to its end.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { REPOSITORY } from '../support/apps.mjs';

/** Generous: on a machine with nothing else to do the longest takes half a minute. */
const LIMIT_MILLIS = 600_000;

const LINTED = [
  'database-rows/legacy/stock.mjs',
  ...['heartbeat', 'labels', 'queue'].map((it) => `wedged-server/${it}.mjs`),
];

const folder = join(REPOSITORY, 'examples/stories');
const all = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'story.mjs')));
const asked = process.argv.slice(2);
const startedAt = performance.now();
let passed = 0;
let failed = 0;

for (const name of asked.length > 0 ? asked : all) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['examples/run.mjs', name, '--quick'], {
    cwd: REPOSITORY,
    encoding: 'utf8',
    timeout: LIMIT_MILLIS,
  });
  const held = stdout.match(/^✔ .+$/gm) ?? [];
  const broken = stdout.match(/^✖ .+$/gm) ?? [];
  const isWhole = status === 0 && held.length > 0 && broken.length === 0;
  passed += held.length;
  failed += isWhole ? 0 : Math.max(1, broken.length);
  console.log(isWhole ? `ok      ${name}: ${held.length} checks` : `FAILED  ${name} ended with ${status ?? signal}`);
  if (!isWhole) console.log(`${stdout}\n${stderr}`.replace(/^/gm, '        '));
}
if (asked.length === 0) lint();

console.log(`\nin ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

/** What docs/find-and-fix.md says that a linter finds in the stories' code. */
function lint() {
  const eslint = join(folder, 'node_modules/eslint/bin/eslint.js');
  const { stdout, stderr } = spawnSync(process.execPath, [eslint, '--format', 'json'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const found = JSON.parse(stdout || '[]').filter(({ messages }) => messages.length > 0);
  const files = found.map(({ filePath }) => relative(folder, filePath)).sort();
  const isRight = JSON.stringify(files) === JSON.stringify(LINTED);
  if (isRight) passed++;
  else failed++;
  console.log(isRight ? 'ok      the linter' : `FAILED  the linter found ${files}\n${stderr}`);
}
