// SPDX-License-Identifier: Apache-2.0
// The stories' own dependencies: databases, queues and pools that no user of the package needs.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

export const STORIES = resolve(import.meta.dirname, '..');

/** Into `node_modules` beside the package.json in `folder`, once for each state of it. */
export function install(report, folder = STORIES) {
  const manifest = readFileSync(join(folder, 'package.json'), 'utf8');
  const stamp = join(folder, 'node_modules/.installed.json');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === manifest) return;
  report.step(`Installing what ${relative(process.cwd(), folder)} needs`);
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
    { cwd: folder, encoding: 'utf8', shell: process.platform === 'win32' },
  );
  if (status !== 0) report.fail(`npm install in ${folder} ended with ${error ?? status}\n${stdout}${stderr}`);
  writeFileSync(stamp, manifest);
}
