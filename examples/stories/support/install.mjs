// SPDX-License-Identifier: Apache-2.0
// The stories' own dependencies: databases, queues and pools that no user of the package needs.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const STORIES = resolve(import.meta.dirname, '..');
const MANIFEST = join(STORIES, 'package.json');
const STAMP = join(STORIES, 'node_modules/.installed.json');

/** Into `node_modules` beside their package.json, once for each state of it. */
export function install(report) {
  const manifest = readFileSync(MANIFEST, 'utf8');
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === manifest) return;
  report.step('Installing what the stories need');
  const { status, error, stdout, stderr } = spawnSync(
    'npm',
    // Peers are OpenTelemetry's packages, which the repository has.
    [
      'install',
      '--ignore-scripts',
      '--legacy-peer-deps',
      '--no-package-lock',
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
    ],
    { cwd: STORIES, encoding: 'utf8', shell: process.platform === 'win32' },
  );
  if (status !== 0) report.fail(`npm install in ${STORIES} ended with ${error ?? status}\n${stdout}${stderr}`);
  writeFileSync(STAMP, manifest);
}
