// SPDX-License-Identifier: Apache-2.0
// `npm run test:guard`: runners of tests with suites that block the event loop or do not. Each has to end with the right
// code, with the right test red and the right function named, guarded test by test and as a process. What is run can be
// narrowed down: `npm run test:guard -- 20 24 --setup --plain --only vitest`.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { installApp, nodeBinaries, PACKAGE_NAME, pack, temporaryFolder } from '../support/apps.mjs';

const RUNNERS = { ava: '^6.4.0', jest: '^30.0.0', mocha: '^11.7.0', vitest: '^4.0.0' };

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: { setup: { type: 'boolean' }, plain: { type: 'boolean' }, only: { type: 'string' } },
});
const majors = positionals.length > 0 ? positionals.map(Number) : [20, 24];
const ways = { setup: given.setup || !given.plain, plain: given.plain || !given.setup };

// What blocks does so for as long on a core, which alone counts.
/** Test by test; what a runner does between tests does not count. Milliseconds. */
const SETUP = { limit: 250, block: 600 };
/** For whole processes, what the runner does itself included. Milliseconds. */
const PLAIN = { limit: 1_500, block: 2_500 };
/** Nothing of it may take so long, on whatever machine. Milliseconds. */
const TIMEOUT = 180_000;

const startedAt = performance.now();
const temporary = temporaryFolder();
const app = join(temporary, 'app');
const nodes = nodeBinaries(majors);
const { tarball } = pack(temporary);
installApp(app, 2, tarball, process.execPath, { dependencies: RUNNERS, mayConflict: true });

const FUNCTIONS = (block) => `
function crunchNumbers(millis) {
  const from = process.cpuUsage();
  const isOver = ({ user, system }) => user + system >= millis * 1000;
  let sum = 0;
  while (!isOver(process.cpuUsage(from))) sum += Math.sqrt(sum + 1);
  return sum;
}
const BLOCK = ${block};
const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
`;
/** Lines of `crunchNumbers` in there. */
const FIRST_LINE = 2;
const LAST_LINE = 8;

/** How each says it: what it takes from where, and how it loads what takes long to load. */
const DIALECTS = {
  'node:test': { file: 'suite.test.cjs', head: "const { test } = require('node:test');", door: 'node-test' },
  mocha: { file: 'suite.test.cjs', head: 'const test = it;', door: 'mocha' },
  jest: { file: 'suite.test.cjs', head: '', door: 'jest' },
  vitest: { file: 'suite.test.mjs', head: "import { test } from 'vitest';", door: 'vitest' },
  ava: { file: 'suite.test.mjs', head: "import test from './ava.mjs';", door: 'test' },
};

/** A suite of these tests, in a folder of its own. */
function writeSuite(name, dialect, block, tests, isGuarded) {
  const { file, head, door } = DIALECTS[dialect];
  const isModule = file.endsWith('.mjs');
  const extension = isModule ? 'mjs' : 'cjs';
  const folder = join(app, name);
  mkdirSync(folder, { recursive: true });
  const write = (path, text) => writeFileSync(join(folder, path), text);
  const functions = FUNCTIONS(block);
  const exported = isModule
    ? 'export { BLOCK, crunchNumbers, sleep };'
    : 'module.exports = { BLOCK, crunchNumbers, sleep };';
  write(`crunch.${extension}`, `${functions}${exported}\n`);
  write(`big.${extension}`, `${functions}crunchNumbers(BLOCK);\n`);
  // Behind its start, which is no block. As soon as it says so it is killed.
  const child =
    "setInterval(() => {}, 1_000);\nsetTimeout(() => { crunchNumbers(BLOCK); process.send('done'); }, 200);\n";
  write('child.cjs', `${functions}${child}`);
  const load = (what, from) => (isModule ? `import ${what} from '${from}';` : `const ${what} = require('${from}');`);
  const lazy = isModule ? "await import('./big.mjs')" : "require('./big.cjs')";
  const pass = dialect === 'ava' ? 't.pass();' : '';
  const argument = dialect === 'ava' ? 't' : '';
  const BODIES = {
    // In two turns of the loop: what a program does in the first is its start, which counts for no process.
    green: 'await sleep(10); await sleep(10);',
    red: 'crunchNumbers(BLOCK);',
    'red later': 'await sleep(10); crunchNumbers(BLOCK);',
    lazy: `await sleep(10); ${lazy};`,
    allowed: 'allowUpTo(60_000); crunchNumbers(BLOCK);',
    'killed child': `
      const child = fork(${isModule ? "new URL('./child.cjs', import.meta.url)" : "require.resolve('./child.cjs')"}, { execArgv: [] });
      await new Promise((resolve) => child.once('message', resolve));
      child.kill('SIGTERM');
      await new Promise((resolve) => child.once('exit', resolve));`,
  };
  write(
    file,
    [
      load('{ fork }', 'node:child_process'),
      head,
      ...(isGuarded ? [load('{ allowUpTo }', `${PACKAGE_NAME}/debug/${door}`)] : []),
      load('{ BLOCK, crunchNumbers, sleep }', `./crunch.${extension}`),
      ...tests.map((title) => `test('${title}', async (${argument}) => { ${BODIES[title]} ${pass} });`),
      '',
    ].join('\n'),
  );
  // Of one file alone jest makes no work for its workers.
  write(`other.test.${extension}`, `${head}\ntest('other', async (${argument}) => { ${pass} });\n`);
  write(
    'ava.mjs',
    isGuarded
      ? `import ava from 'ava';\nimport { guardTests } from '${PACKAGE_NAME}/debug/test';\nexport default guardTests(ava);\n`
      : "export { default } from 'ava';\n",
  );
  write('ava.config.mjs', "export default { files: ['*.test.mjs'], timeout: '2m', environmentVariables: {} };\n");
  write('jest.config.cjs', jestConfig(isGuarded));
  write('vitest.config.mjs', vitestConfig(isGuarded));
  write('package.json', '{ "private": true }\n');
  return { folder, file };
}

function jestConfig(isGuarded) {
  const setup = isGuarded ? [`${PACKAGE_NAME}/debug/jest`] : [];
  const config = {
    testMatch: ['**/*.test.cjs'],
    testTimeout: TIMEOUT,
    setupFilesAfterEnv: setup,
    cacheDirectory: './cache',
  };
  return `module.exports = ${JSON.stringify(config)};\n`;
}

function vitestConfig(isGuarded) {
  const setup = isGuarded ? [`${PACKAGE_NAME}/debug/vitest`] : [];
  const config = { include: ['*.test.mjs'], testTimeout: TIMEOUT, hookTimeout: TIMEOUT, setupFiles: setup };
  return `export default { test: ${JSON.stringify(config)} };\n`;
}

const bin = (path) => join(app, 'node_modules', path);
const JEST = bin('jest/bin/jest.js');
const VITEST = bin('vitest/vitest.mjs');
const AVA = bin('ava/entrypoints/cli.mjs');

/** How each is started, and what it says of its tests. */
const COMMANDS = {
  'node --test': {
    dialect: 'node:test',
    args: ({ file }, isGuarded) => [
      ...(isGuarded ? ['--import', `${PACKAGE_NAME}/debug/node-test`] : []),
      ...['--test', '--test-reporter=tap', file],
    ],
    results: tapResults,
  },
  mocha: {
    dialect: 'mocha',
    args: ({ file }, isGuarded) => [
      bin('mocha/bin/mocha.js'),
      ...['--timeout', `${TIMEOUT}`, '--reporter', 'tap'],
      ...(isGuarded ? ['--require', `${PACKAGE_NAME}/debug/mocha`] : []),
      file,
    ],
    results: tapResults,
  },
  'jest in band': { dialect: 'jest', args: () => [JEST, '--json', '-i'], results: jsonResults },
  'jest with workers': { dialect: 'jest', args: () => [JEST, '--json', '-w', '2'], results: jsonResults },
  ...Object.fromEntries(
    ['forks', 'threads', 'vmThreads'].map((pool) => [
      `vitest ${pool}`,
      { dialect: 'vitest', args: () => [VITEST, 'run', '--pool', pool, '--reporter', 'json'], results: jsonResults },
    ]),
  ),
  // In a thread nobody can tell whose code it was, of tests that run at the same time.
  'ava processes': { dialect: 'ava', args: () => [AVA, '--tap', '--no-worker-threads'], results: tapResults },
  'ava threads': { dialect: 'ava', args: () => [AVA, '--tap', '--serial'], results: tapResults },
};

/** By title: whether it passed. */
function tapResults(stdout) {
  const found = stdout.matchAll(
    /^ *(not )?ok \d+ (?:- )?(?:.* › )?(green|red later|red|lazy|allowed|killed child)\s*$/gm,
  );
  return Object.fromEntries(Array.from(found, ([, not, title]) => [title, not === undefined]));
}

function jsonResults(stdout) {
  const { testResults } = JSON.parse(stdout.slice(stdout.indexOf('{"')));
  const all = testResults.flatMap(({ assertionResults }) => assertionResults);
  return Object.fromEntries(
    all.filter(({ title }) => title !== 'other').map(({ title, status }) => [title, status === 'passed']),
  );
}

/** Blocks that were named: where, and for how long. */
function namedIn(output) {
  const named = output.matchAll(
    /event loop blocked for (\d+) ms (?:by .* )?in crunchNumbers \(([^()\n]*?):(\d+):\d+\)/g,
  );
  return Array.from(named, ([text, millis, file, line]) => ({
    text,
    millis: Number(millis),
    file,
    line: Number(line),
  }));
}

function checkNames(output, limit, count) {
  const named = namedIn(output);
  if (named.length < count) throw new Error(`names ${named.length} blocks rather than ${count}`);
  for (const { text, millis, file, line } of named) {
    const isThere = /crunch\.[cm]js$|child\.cjs$/.test(file) && line >= FIRST_LINE && line <= LAST_LINE;
    if (!isThere || millis <= limit) throw new Error(`names ${text}`);
  }
}

/** What is run in each way: which tests, which of them have to be red, with which code it ends. */
const CASES = [
  { way: 'setup', title: 'green, lazy and allowed', tests: ['green', 'lazy', 'allowed'], red: [], isRed: false },
  {
    way: 'setup',
    title: 'red among others',
    tests: ['green', 'red', 'lazy', 'allowed', 'red later'],
    red: ['red', 'red later'],
    isRed: true,
  },
  { way: 'plain', title: 'green and lazy', tests: ['green', 'lazy'], red: [], isRed: false },
  { way: 'plain', title: 'red', tests: ['green', 'red'], red: [], isRed: true },
  { way: 'plain', title: 'red in a killed child', tests: ['green', 'killed child'], red: [], isRed: true },
];

const jobs = [...nodes].flatMap(([major, node]) =>
  CASES.filter(({ way }) => ways[way]).flatMap((it) =>
    Object.entries(COMMANDS)
      .filter(([runner]) => given.only === undefined || runner.includes(given.only))
      .map(([runner, command]) => ({ ...it, major, node, runner, command })),
  ),
);

let passed = 0;
let failed = 0;
const waiting = [...jobs];
await Promise.all(
  Array.from({ length: Math.max(Math.floor(availableParallelism() / 2), 1) }, async () => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await check(job);
  }),
);
console.log(`\nin ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

async function check({ way, title, tests, red, isRed, major, node, runner, command }) {
  const isGuarded = way === 'setup';
  const { limit, block } = isGuarded ? SETUP : PLAIN;
  const name = `${major} ${runner} ${way} ${title}`.replaceAll(/\W+/g, '-');
  const suite = writeSuite(name, command.dialect, block, tests, isGuarded);
  const from = performance.now();
  const { code, stdout, stderr } = await run(node, command.args(suite, isGuarded), suite.folder, {
    OTEL_EVENT_LOOP_DEBUG_FAIL_OVER_MILLIS: `${limit}`,
    NODE_OPTIONS: isGuarded ? '' : `--import ${PACKAGE_NAME}/debug`,
  });
  const seconds = ((performance.now() - from) / 1000).toFixed(1);
  try {
    if ((code !== 0) !== isRed) throw new Error(`ends with ${code}`);
    const expected = Object.fromEntries(tests.map((test) => [test, !red.includes(test)]));
    const results = command.results(stdout);
    for (const test of tests) {
      if (results[test] !== expected[test]) throw new Error(`of its tests passed: ${JSON.stringify(results)}`);
    }
    if (isRed) checkNames(`${stdout}\n${stderr}`, limit, Math.max(red.length, 1));
    else if (/event loop blocked for \d+ ms.*allowed are|failed, over/.test(`${stdout}\n${stderr}`)) {
      throw new Error('complains');
    }
    passed++;
    console.log(`ok      Node.js ${major}, ${runner}, ${way}: ${title} (${seconds} s)`);
  } catch (error) {
    failed++;
    console.log(
      `failed  Node.js ${major}, ${runner}, ${way}: ${title} (${seconds} s)\n${error.message}\n${stdout}\n${stderr}`,
    );
  }
}

function run(node, args, cwd, env) {
  return new Promise((resolve) => {
    const child = spawn(node, args, {
      cwd,
      env: { ...process.env, CI: 'true', NODE_TEST_CONTEXT: undefined, FORCE_COLOR: '0', ...env },
      timeout: TIMEOUT,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data) => (stdout += data));
    child.stderr.on('data', (data) => (stderr += data));
    child.on('close', (code, signal) => resolve({ code: code ?? signal, stdout, stderr }));
  });
}
