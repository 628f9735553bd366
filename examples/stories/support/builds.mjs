// SPDX-License-Identifier: Apache-2.0
// Engines that nobody ships as a program: built with Go from their modules into `.engines/` of the repository, or
// `ENGINES_FOLDER`, once for each version.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { MissingEngine, removeAtExit } from './engines.mjs';
import { STORIES } from './install.mjs';
import { runProgram } from './process.mjs';

const FOLDER = resolve(process.env.ENGINES_FOLDER ?? join(STORIES, '../../.engines'));
const GO = { minor: 26, how: 'install Go 1.26 or newer (on PATH)' };

/**
 * The folder of `programs`. Each is one of `modules`, or made of `source`, a file that needs them; where they are not there yet,
 * it takes minutes. `settings`: variables that the linker sets, as their own releases do. `otherwise`: what else one can do
 * where there is no Go.
 */
export async function built(report, { name, version, modules, programs, source, settings = {}, otherwise }) {
  const folder = join(FOLDER, `${name}-${version}`, 'bin');
  if (programs.every((program) => existsSync(join(folder, program)))) return folder;
  demandGo(`${name} ${version}`, otherwise);
  report.step(`Building ${name} ${version} with Go, once: some minutes`);
  const startedAt = performance.now();
  const work = removeAtExit(`${join(FOLDER, `${name}-${version}`)}.${process.pid}`);
  // In here as well, so that nothing is left of a build that is interrupted.
  const GOTMPDIR = join(work, 'tmp');
  mkdirSync(GOTMPDIR, { recursive: true });
  // At most two at once, and behind everybody else: a machine with stories has other work.
  const go = (...args) => runProgram('nice', ['go', ...args], { cwd: work, env: { GOFLAGS: '-p=2', GOTMPDIR } });
  // Not `go install`: modules that replace others cannot be installed that way.
  await go('mod', 'init', 'engines');
  if (source) copyFileSync(source, join(work, basename(source)));
  await go('get', ...(source ? [] : ['-tool']), ...modules.map((module) => `${module}@v${version}`));
  const flags = Object.entries(settings).map(([variable, value]) => `-ldflags=-X ${variable}=${value}`);
  for (const [i, program] of programs.entries()) {
    await go('build', ...flags, '-o', join(work, 'bin', program), source ? '.' : modules[i]);
  }
  // Whole or not at all.
  mkdirSync(join(folder, '..'), { recursive: true });
  renameSync(join(work, 'bin'), folder);
  report.step(`Built in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
  return folder;
}

function demandGo(what, otherwise) {
  const { stdout } = spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8' });
  const [, minor] = /^go1\.(\d+)/.exec(stdout ?? '') ?? [];
  if (Number(minor) >= GO.minor) return;
  const lack = minor === undefined ? 'is not there' : `is too old (1.${minor})`;
  throw new MissingEngine(`${what} is built with Go, which ${lack}; ${GO.how}${otherwise ? `, or ${otherwise}` : ''}`);
}
