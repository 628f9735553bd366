// SPDX-License-Identifier: Apache-2.0
// `npm run built`: builds `dist`, unless it is what the sources as they are have been built to already.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from './apps.mjs';

const SOURCES = ['src', 'rolldown.config.mjs', 'tsconfig.json', 'package.json', 'package-lock.json'];
const STAMP = join(REPOSITORY, '.matrix/built.txt');

// Of what came out as well: `npm run build` leaves no word here, and somebody may have built another state since.
const state = () => `${hashOf(SOURCES)} ${hashOf(['dist'])}\n`;

if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === state()) {
  console.log('dist is up to date');
} else {
  execFileSync('npm', ['run', 'build'], { cwd: REPOSITORY, stdio: 'inherit' });
  mkdirSync(join(REPOSITORY, '.matrix'), { recursive: true });
  writeFileSync(STAMP, state());
}

function hashOf(paths) {
  const hash = createHash('sha256');
  for (const path of paths.flatMap(filesIn)) hash.update(`${path}\n`).update(readFileSync(join(REPOSITORY, path)));
  return hash.digest('hex');
}

function filesIn(path) {
  const full = join(REPOSITORY, path);
  if (!existsSync(full)) return [];
  return statSync(full).isDirectory()
    ? readdirSync(full)
        .sort()
        .flatMap((name) => filesIn(join(path, name)))
    : [path];
}
