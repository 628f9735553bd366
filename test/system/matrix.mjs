// SPDX-License-Identifier: Apache-2.0
// `npm run test:matrix`: the tests that run fixtures, on every supported Node.js and line of OpenTelemetry, against the
// packed package. `npm run test:matrix -- 26 otel3` runs the legs that fit every word.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, cpSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import Table from 'cli-table3';
import {
  installApp,
  lineDependencies,
  NODE_MAJORS,
  nodeBinaries,
  OTEL_LINES,
  pack,
  REPOSITORY,
  temporaryFolder,
  versionOf,
} from '../support/apps.mjs';

/** A fixture measures, and one beside it would take its core for a while: two cores are one lane. */
const LANES = Math.max(Math.floor(availableParallelism() / 2), 1);
/** So many files go to a lane at a time: fewer, and vitest starts more often; more, and lanes wait for the last one. */
const FILES_PER_JOB = LANES === 1 ? 1_000 : 3;
/** Its client process needs a core of its own for half a minute: in `npm test` only. */
const ONCE = ['delay.test.ts'];
/** What has nothing to do with the line of OpenTelemetry, and on this Node.js runs in `npm test`. */
const ONCE_PER_NODE = [
  'cause.test.ts',
  'location.test.ts',
  'on-demand-safety.test.ts',
  'plumbing.test.ts',
  'safety.test.ts',
  'start-up.test.ts',
  'watchdog.test.ts',
];
/** The same, and has nothing to do with what differs between versions of Node.js: on the newest as well, and no other. */
const ON_THE_NEWEST = ['debug.test.ts', 'endings.test.ts', 'random.test.ts', 'rest.test.ts'];
/** What differs between the lines, but not from one Node.js to the next. */
const ONCE_PER_LINE = ['hang.test.ts', 'hang-leaves.test.ts', 'register.test.ts', 'switches.test.ts'];
/** The same, but within the later line only. */
const ONCE_IN_LATER_LINE = ['lifecycle.test.ts'];
const SCENARIOS = join(REPOSITORY, 'test/scenarios');
const OWN_MAJOR = Number(process.versions.node.split('.')[0]);

const legs = chosenLegs(process.argv.slice(2));
const temporary = temporaryFolder();
const testFiles = filesWithFixtures();

console.log(`Preparing ${legs.length} of the matrix's legs`);
const nodes = nodeBinaries([...new Set(legs.map((leg) => leg.major))]);
const { tarball } = pack(temporary);
const apps = new Map();
for (const { line, major } of legs) {
  if (apps.has(line)) continue;
  apps.set(line, join(temporary, `otel${line}`));
  // The package's own checks have it installed for the oldest, too.
  const node = nodes.get(OTEL_LINES[line].firstNode) ?? nodes.get(major);
  installApp(apps.get(line), line, tarball, node, { dependencies: lineDependencies() });
  // Here and not by the tests: a fixture is not to change under another that loads it.
  cpSync(join(REPOSITORY, 'test/fixtures'), join(apps.get(line), 'fixtures'), { recursive: true });
}

// The longest first: the newest Node.js has the most to do, and the later line the least.
const waiting = [...legs].sort((a, b) => a.line - b.line || b.major - a.major).flatMap(jobsOf);
const done = new Map(legs.map((leg) => [leg, []]));
await Promise.all(
  Array.from({ length: LANES }, async () => {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      done.get(job.leg).push(await run(job));
      if (done.get(job.leg).length === job.of) printOutput(job.leg);
    }
  }),
);
const rows = legs.map(toRow);
printSummary(rows);
process.exitCode = rows.every((row) => row.ok) ? 0 : 1;

/** Words name versions of Node.js ("26") and lines of OpenTelemetry ("otel3"); several of a kind are alternatives. */
function chosenLegs(words) {
  const all = Object.entries(OTEL_LINES).flatMap(([line, { firstNode }]) =>
    NODE_MAJORS.filter((major) => major >= firstNode).map((major) => ({ major, line: Number(line) })),
  );
  const unknown = words.filter((word) => !all.some((leg) => word === `${leg.major}` || word === `otel${leg.line}`));
  const lines = words.filter((word) => word.startsWith('otel'));
  const majors = words.filter((word) => !word.startsWith('otel'));
  const chosen = all.filter(
    (leg) =>
      (lines.length === 0 || lines.includes(`otel${leg.line}`)) &&
      (majors.length === 0 || majors.includes(`${leg.major}`)),
  );
  if (unknown.length > 0 || chosen.length === 0) {
    console.error(`no such leg: ${words.join(' ')}; there are ${NODE_MAJORS.join(' ')}, otel2 and, from 22 on, otel3`);
    process.exit(2);
  }
  return chosen;
}

/** What needs no child process need not be repeated either. */
function filesWithFixtures() {
  return readdirSync(SCENARIOS)
    .filter((file) => file.endsWith('.test.ts') && !ONCE.includes(file))
    .filter((file) => /\/(?:run-fixture|service)\.js'/.test(readFileSync(join(SCENARIOS, file), 'utf8')));
}

function filesOf({ major, line }) {
  if (process.env.MATRIX === 'full') return testFiles.map((file) => `test/scenarios/${file}`);
  const left = [];
  const isNewest = major === NODE_MAJORS.at(-1);
  if (line !== 2 || major === OWN_MAJOR) left.push(...ONCE_PER_NODE);
  if (line !== 2 || !isNewest) left.push(...ON_THE_NEWEST);
  if (!isNewest) left.push(...ONCE_PER_LINE);
  if (line !== 2 && !isNewest) left.push(...ONCE_IN_LATER_LINE);
  return testFiles.filter((file) => !left.includes(file)).map((file) => `test/scenarios/${file}`);
}

/** A leg's files, a few at a time. */
function jobsOf(leg) {
  const files = filesOf(leg);
  const of = Math.ceil(files.length / FILES_PER_JOB);
  return Array.from({ length: of }, (_, i) => ({
    leg,
    of,
    files: files.slice(i * FILES_PER_JOB, (i + 1) * FILES_PER_JOB),
  }));
}

/** vitest itself runs on this Node.js, the fixtures on the leg's. */
async function run({ leg: { major, line }, files }) {
  const node = nodes.get(major);
  const name = join(temporary, `${major}-otel${line}-${basename(files[0])}`);
  const report = `${name}.json`;
  const output = openSync(`${name}.txt`, 'w');
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    [
      join(REPOSITORY, 'node_modules/vitest/vitest.mjs'),
      'run',
      // Lanes are enough.
      '--no-file-parallelism',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...files,
    ],
    {
      cwd: REPOSITORY,
      stdio: ['ignore', output, output],
      env: {
        ...process.env,
        // From 22.1 on. Most of what a fixture takes is loading the SDK.
        NODE_COMPILE_CACHE: join(temporary, 'compile-cache'),
        TEST_NODE: node,
        TEST_NODE_VERSION: versionOf(node),
        TEST_APP: apps.get(line),
        TEST_OTEL_LINE: `${line}`,
      },
    },
  );
  const [status] = await once(child, 'exit');
  closeSync(output);
  const seconds = (performance.now() - startedAt) / 1000;
  return { output: readFileSync(`${name}.txt`, 'utf8'), seconds, ok: status === 0, ...counts(report, status) };
}

/** Of one leg after the other, although several run at once. */
function printOutput(leg) {
  const title = `Node.js ${versionOf(nodes.get(leg.major))}, OpenTelemetry ${leg.line}.x`;
  console.log(
    `\n${title}\n${done
      .get(leg)
      .map(({ output }) => output)
      .join('')}`,
  );
}

function toRow(leg) {
  const jobs = done.get(leg);
  const sum = (key) => jobs.reduce((total, job) => total + job[key], 0);
  return {
    version: versionOf(nodes.get(leg.major)),
    line: leg.line,
    ok: jobs.every(({ ok }) => ok),
    ...Object.fromEntries(['passed', 'failed', 'skipped', 'seconds'].map((key) => [key, sum(key)])),
  };
}

/** vitest's own counts; a run that failed without a failed test, e.g. by an unhandled error, counts as one. */
function counts(report, status) {
  try {
    const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'));
    const failed = status === 0 ? numFailedTests : Math.max(1, numFailedTests);
    return { passed: numPassedTests, failed, skipped: numPendingTests };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

function printSummary(rows) {
  const table = new Table({
    head: ['Node.js', 'OpenTelemetry', 'passed', 'failed', 'skipped', 'seconds'],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    table.push([row.version, `${row.line}.x`, row.passed, row.failed, row.skipped, row.seconds.toFixed(1)]);
  }
  const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
  const skipped = sum('skipped');
  console.log(`\n${table}\n`);
  console.log(`${sum('passed')} passed, ${sum('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}
