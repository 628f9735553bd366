// SPDX-License-Identifier: Apache-2.0
// What the matrix and the package checks share: other versions of Node.js, the packed package, and applications that
// have it installed beside one of the two lines of OpenTelemetry.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';

export const REPOSITORY = resolve(import.meta.dirname, '../..');
export const PACKAGE_NAME = 'opentelemetry-instrumentation-event-loop';

/** Of each major version the one that is tried: a new one is not to fail a change that has nothing to do with it. */
const NODE_VERSIONS = { 20: '20', 22: '22.23.3', 24: '24.21.0', 26: '26.12.1' };
export const NODE_MAJORS = Object.keys(NODE_VERSIONS).map(Number);
const OWN_MAJOR = Number(process.versions.node.split('.')[0]);

/**
 * Everything is pinned: left to itself, npm picks the line of OpenTelemetry by the Node.js that runs it. To what sdk-node
 * asks for itself, or there are a dozen copies of some packages, and a process takes three times as long to load them.
 */
export const OTEL_LINES = {
  2: {
    firstNode: 20,
    dependencies: {
      '@opentelemetry/api': '~1.9.0',
      '@opentelemetry/context-async-hooks': '2.12.0',
      '@opentelemetry/core': '2.12.0',
      '@opentelemetry/instrumentation': '0.223.0',
      '@opentelemetry/instrumentation-http': '0.223.0',
      '@opentelemetry/sdk-logs': '0.223.0',
      '@opentelemetry/sdk-metrics': '2.12.0',
      '@opentelemetry/sdk-node': '0.223.0',
      '@opentelemetry/sdk-trace-node': '2.12.0',
    },
  },
  3: {
    firstNode: 22,
    dependencies: {
      '@opentelemetry/api': '~1.10.0',
      '@opentelemetry/context-async-hooks': '3.1.0',
      '@opentelemetry/core': '3.1.0',
      '@opentelemetry/instrumentation': '0.301.0',
      '@opentelemetry/instrumentation-http': '0.301.0',
      '@opentelemetry/sdk-logs': '3.1.0',
      '@opentelemetry/sdk-metrics': '3.1.0',
      '@opentelemetry/sdk-node': '0.301.0',
      '@opentelemetry/sdk-trace': '3.1.0',
    },
  },
};

/**
 * Runs npm with the Node.js `node`, which has a say in what npm installs. Returns what it printed on stdout and stderr;
 * throws with it where npm fails.
 */
export function npm(args, cwd, node = process.execPath) {
  const path = `${dirname(node)}${delimiter}${process.env.PATH}`;
  const { status, error, stdout, stderr } = spawnSync('npm', args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, PATH: path },
  });
  if (status !== 0) throw new Error(`npm ${args.join(' ')} ended with ${error ?? status}\n${stdout}${stderr}`);
  return { stdout, stderr };
}

/** The binaries of Node.js `majors`, by major version; those that this machine lacks come from npm, into `.matrix`. */
export function nodeBinaries(majors) {
  const folder = join(REPOSITORY, '.matrix/nodes');
  const binary = (major) =>
    major === OWN_MAJOR ? process.execPath : join(folder, `node_modules/node${major}/bin/node`);
  const missing = majors.filter((major) => !existsSync(binary(major)));
  if (missing.length > 0) {
    mkdirSync(folder, { recursive: true });
    // Without a package.json of its own, npm would install into the repository.
    if (!existsSync(join(folder, 'package.json'))) writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    const builds = `node-${process.platform}-${process.arch}`;
    npm(
      ['install', '--ignore-scripts', ...missing.map((major) => `node${major}@npm:${builds}@${NODE_VERSIONS[major]}`)],
      folder,
    );
  }
  return new Map(majors.map((major) => [major, binary(major)]));
}

export function versionOf(node) {
  return execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
}

/**
 * A folder that is removed when this process ends. Outside of the repository, so that what an application there does not
 * have is not found in the repository's node_modules either.
 */
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'event-loop-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
  return folder;
}

/** Packs what was built into `folder`; returns the tarball and the names of the files in it. */
export function pack(folder) {
  const { stdout } = npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], REPOSITORY);
  const [{ filename, files }] = JSON.parse(stdout);
  return { tarball: join(folder, filename), files: files.map((file) => file.path) };
}

/** What fixtures and compilers need beside a line of OpenTelemetry: asked for by all, so that it is installed once. */
export function lineDependencies() {
  const { devDependencies } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
  return Object.fromEntries(
    ['@types/node', 'express', 'signal-exit', 'typescript'].map((name) => [name, devDependencies[name]]),
  );
}

/**
 * An application in `folder` with the packed package and a line of OpenTelemetry, installed with `node`; `manifest` joins
 * its package.json. Any conflict of peers fails, unless it `mayConflict`. Returns what npm printed when it was installed.
 *
 * What goes with the package is installed once for all who ask for the same, and linked from there; the package itself is
 * what is in `tarball` now.
 */
export function installApp(folder, line, tarball, node, { dependencies, mayConflict = false, ...manifest } = {}) {
  const own = { ...manifest, dependencies: { ...OTEL_LINES[line].dependencies, ...dependencies } };
  const installed = installedOnce(own, tarball, node, [
    mayConflict ? '--legacy-peer-deps' : '--strict-peer-deps',
    ...NPM_FLAGS,
  ]);
  mkdirSync(folder, { recursive: true });
  linkTree(installed, folder);
  const target = join(folder, 'node_modules', PACKAGE_NAME);
  // What npm put below it, where the application's own OpenTelemetry is another one, stays.
  for (const name of readdirSync(target).filter((name) => name !== 'node_modules')) {
    rmSync(join(target, name), { recursive: true });
  }
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', target]);
  return readFileSync(join(folder, NPM_OUTPUT), 'utf8');
}

const NPM_OUTPUT = 'npm-output.txt';

/** Where the application is installed, in a folder that is named by all that has a say in what npm installs. */
function installedOnce(manifest, tarball, node, flags) {
  const packed = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
  const { dependencies, peerDependencies, optionalDependencies, engines } = packed;
  const lock = readFileSync(join(REPOSITORY, 'package-lock.json'), 'utf8');
  const ingredients = [manifest, { dependencies, peerDependencies, optionalDependencies, engines }, lock, flags];
  const hash = createHash('sha256')
    .update(JSON.stringify([versionOf(node), process.platform, process.arch, ...ingredients]))
    .digest('hex');
  const folder = join(REPOSITORY, '.matrix/apps', hash.slice(0, 16));
  if (existsSync(folder)) return folder;
  const temporary = `${folder}.${process.pid}`;
  mkdirSync(temporary, { recursive: true });
  // By a name that is the same wherever the folder is.
  cpSync(tarball, join(temporary, 'package.tgz'));
  const all = { ...manifest.dependencies, [PACKAGE_NAME]: 'file:package.tgz' };
  writeFileSync(join(temporary, 'package.json'), JSON.stringify({ private: true, ...manifest, dependencies: all }));
  try {
    const { stdout, stderr } = npm(['install', ...flags], temporary, node);
    writeFileSync(join(temporary, NPM_OUTPUT), `${stdout}${stderr}`);
    // Whole or not at all, and whoever is first where two steps install the same.
    if (!existsSync(folder)) renameSync(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}

export const NPM_FLAGS = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];

/** Copies a folder by links to its files, which nobody may write to then, or file by file where that cannot be. */
function linkTree(from, to) {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      mkdirSync(target, { recursive: true });
      linkTree(source, target);
    } else if (entry.isSymbolicLink()) {
      symlinkSync(readlinkSync(source), target);
    } else {
      try {
        linkSync(source, target);
      } catch {
        copyFileSync(source, target);
      }
    }
  }
}
