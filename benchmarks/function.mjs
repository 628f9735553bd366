// SPDX-License-Identifier: Apache-2.0
// Whether the function that is named for a block is the right one: real tools at work, beside the CPU profile that
// Node.js writes of the same process. It is right where it has, with what it called, at least half of the block's time.
// Beside it what an earlier version of this package named (BASELINE: a commit). The tools are installed into
// .matrix/function, which git does not see. WORK chooses by name, TIMES and FLAT_TIMES how often.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const TOOLS = [
  'eslint@9',
  '@eslint/js@9',
  'typescript@5.9',
  'webpack@5',
  'prettier@3',
  'ajv@8',
  'jsonata@2',
  'graphql@16',
  'lodash@4',
];
const WORK = [
  'flat 150',
  'flat 1000',
  'flat 5000',
  'eslint',
  'tsc',
  'webpack',
  'prettier',
  'ajv',
  'JSONata',
  'GraphQL schema',
  'GraphQL query',
];
const MIN_MILLIS = 300;
/** The last commit that named the leaf that most samples had. */
const BASELINE = process.env.BASELINE ?? 'dec3d9b';

const repository = resolve(import.meta.dirname, '..');
const folder = join(repository, '.matrix/function');
const node = process.env.TEST_NODE ?? process.execPath;

install();
const versions = { [BASELINE]: buildBaseline(), now: join(repository, 'dist/index.cjs') };
const chosen = WORK.filter((name) => name.includes(process.env.WORK ?? ''));
const totals = {};
console.log(
  `Node.js ${execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()}: blocks whose function has at least half of their time`,
);
for (const name of chosen) {
  for (const [version, file] of Object.entries(versions)) tell(name, version, judge(name, file));
}
for (const [version, { right, all }] of Object.entries(totals)) {
  console.log(`over ${MIN_MILLIS} ms, ${version}: ${right} of ${all} (${Math.round((right / all) * 100)} %)`);
}

function install() {
  mkdirSync(folder, { recursive: true });
  const isThere = TOOLS.every((tool) => existsSync(join(folder, 'node_modules', tool.replace(/@[^@]*$/, ''))));
  if (isThere) return;
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...TOOLS], {
    cwd: folder,
    stdio: 'inherit',
  });
  // We would map places to the sources, which V8's profile does not know.
  const files = readdirSync(join(folder, 'node_modules'), { recursive: true });
  for (const file of files) if (file.endsWith('.map')) rmSync(join(folder, 'node_modules', file));
}

function buildBaseline() {
  const clone = join(folder, `baseline-${BASELINE}`);
  const file = join(clone, 'dist/index.cjs');
  if (existsSync(file)) return file;
  execFileSync('git', ['clone', '-q', '--shared', repository, clone]);
  execFileSync('git', ['checkout', '-q', BASELINE], { cwd: clone });
  symlinkSync(join(repository, 'node_modules'), join(clone, 'node_modules'));
  execFileSync('npm', ['run', 'build'], { cwd: clone, stdio: 'ignore' });
  return file;
}

/** Of each block what was named, and how much of it that had. */
function judge(name, packageFile) {
  const run = join(folder, 'run');
  rmSync(run, { recursive: true, force: true });
  mkdirSync(run);
  const output = join(run, 'blocks.json');
  const work = fileURLToPath(new URL('function/work.cjs', import.meta.url));
  const profiling = ['--cpu-prof', '--cpu-prof-interval', '500', '--cpu-prof-dir', run];
  const { status, stderr } = spawnSync(node, [...profiling, work, name, packageFile, output], {
    cwd: folder,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${name} failed: ${stderr}`);
  const profile = JSON.parse(
    readFileSync(
      join(
        run,
        readdirSync(run).find((file) => file.endsWith('.cpuprofile')),
      ),
      'utf8',
    ),
  );
  const samples = samplesOf(profile);
  return JSON.parse(readFileSync(output, 'utf8')).map((block) => ({ ...block, ...timesOf(block, samples) }));
}

/** Stacks with their times; garbage collection belongs to the code that it interrupts. */
function samplesOf({ nodes, samples, timeDeltas, startTime }) {
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const stacks = new Map();
  const stackOf = (id) => {
    if (!stacks.has(id)) {
      const stack = [];
      for (let at = id; at !== undefined; at = parents.get(at)) stack.push(byId.get(at).callFrame);
      stacks.set(id, stack);
    }
    return stacks.get(id);
  };
  let at = startTime;
  let last = [];
  return samples.map((id, i) => {
    at += timeDeltas[i];
    const stack = stackOf(id);
    if (stack[0].functionName !== '(garbage collector)') last = stack;
    // What passes from this sample to the next.
    return { from: at, micros: timeDeltas[i + 1] ?? 0, stack: last };
  });
}

function timesOf({ startMicros, endMicros, frame }, samples) {
  const inside = samples.filter(({ from }) => from >= startMicros && from < endMicros);
  const busy = inside.filter(({ stack }) => stack[0]?.functionName !== '(idle)');
  const total = busy.reduce((sum, { micros }) => sum + micros, 0);
  const best = bestOf(busy, total);
  if (frame === undefined) return { share: 0, best };
  const named = functionAt(frame, busy);
  const of = busy.filter(({ stack }) => stack.some((call) => keyOf(call) === named));
  return { share: of.reduce((sum, { micros }) => sum + micros, 0) / total, best };
}

/** The most that any function had that is not Node.js's own. */
function bestOf(samples, total) {
  const times = new Map();
  for (const { stack, micros } of samples) {
    const keys = new Set(stack.filter(({ url }) => url !== '' && !url.startsWith('node:')).map(keyOf));
    for (const key of keys) times.set(key, (times.get(key) ?? 0) + micros);
  }
  return Math.max(0, ...times.values()) / total;
}

/** A profile says where a function begins, a stack where in it the call is: it is the last of its name to begin before. */
function functionAt({ functionName, filePath, lineNumber, columnNumber }, samples) {
  const calls = new Map(samples.flatMap(({ stack }) => stack.map((call) => [keyOf(call), call])));
  const lastName = (name) => name.split(/[. ]/).pop().replace('<anonymous>', '');
  const inFile = [...calls].filter(([, call]) => {
    if (call.url.replace('file://', '') !== filePath) return false;
    const line = call.lineNumber + 1;
    return line < lineNumber || (line === lineNumber && call.columnNumber + 1 <= columnNumber);
  });
  const ofName = inFile.filter(([, call]) => lastName(call.functionName) === lastName(functionName));
  const [last] = (ofName.length > 0 ? ofName : inFile).sort(
    ([, a], [, b]) => b.lineNumber - a.lineNumber || b.columnNumber - a.columnNumber,
  );
  return last?.[0];
}

function keyOf({ url, functionName, lineNumber, columnNumber }) {
  return `${url}\n${functionName}\n${lineNumber}:${columnNumber}`;
}

function tell(name, version, blocks) {
  const isFlat = name.startsWith('flat');
  const long = blocks.filter(({ millis }) => millis > (isFlat ? Number(name.slice(5)) - 1 : MIN_MILLIS));
  // Many callbacks or promise jobs: then there is none to be named.
  const judged = long.filter(({ best }) => best >= 0.5);
  const right = judged.filter(({ share }) => share >= 0.5);
  const mean = judged.reduce((sum, { share }) => sum + share, 0) / judged.length;
  const names = new Set(
    long.map(
      ({ frame, share, best }) =>
        `${frame?.functionName} ${percent(share)}${best < 0.5 ? ` (nobody over ${percent(best)})` : ''}`,
    ),
  );
  const counts = `${right.length} of ${judged.length}`.padStart(9);
  console.log(
    `  ${name.padEnd(15)} ${version.padEnd(8)} ${counts}, on average ${percent(mean)} of it: ${[...names].join(', ')}`,
  );
  if (judged.length > 0 && judged[0].millis > MIN_MILLIS) {
    totals[version] ??= { right: 0, all: 0 };
    totals[version].right += right.length;
    totals[version].all += judged.length;
  }
}

function percent(share) {
  return `${Math.round(share * 100)} %`;
}
