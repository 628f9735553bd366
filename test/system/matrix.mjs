// SPDX-License-Identifier: Apache-2.0
// `npm run test:matrix`: the tests that run fixtures, on every supported Node.js and line of OpenTelemetry, against the
// packed package. `npm run test:matrix -- 26 otel3` runs the legs that fit every word.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Table from 'cli-table3';
import {
  installApp,
  NODE_MAJORS,
  nodeBinaries,
  OTEL_LINES,
  pack,
  REPOSITORY,
  temporaryFolder,
  versionOf,
} from '../support/apps.mjs';

/** A fixture waits for half of its time. */
const LEGS_AT_ONCE = 2;
/** Its client process needs a core of its own for half a minute: in `npm test` only. */
const ONCE = ['delay.test.ts'];
/** What has nothing to do with the line of OpenTelemetry, and on this Node.js runs in `npm test`. */
const ONCE_PER_NODE = ['cause.test.ts', 'safety.test.ts', 'watchdog.test.ts'];
/** The same, and has nothing to do with what differs between versions of Node.js: on the newest as well, and no other. */
const ON_THE_NEWEST = ['debug.test.ts', 'endings.test.ts', 'random.test.ts', 'rest.test.ts'];
/** What differs between the lines, but not from one Node.js to the next. */
const ONCE_PER_LINE = ['hang.test.ts', 'hang-leaves.test.ts', 'register.test.ts'];
/** The same, but within the later line only. */
const ONCE_IN_LATER_LINE = ['lifecycle.test.ts'];
const SCENARIOS = join(REPOSITORY, 'test/scenarios');
const OWN_MAJOR = Number(process.versions.node.split('.')[0]);
const { devDependencies } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));

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
  const { express, 'signal-exit': signalExit } = devDependencies;
  const dependencies = { express, 'signal-exit': signalExit };
  installApp(apps.get(line), line, tarball, nodes.get(major), { dependencies });
}

// The longest first: the newest Node.js has the most to do, and the later line the least.
const waiting = [...legs].sort((a, b) => a.line - b.line || b.major - a.major);
const results = new Map();
await Promise.all(
  Array.from({ length: LEGS_AT_ONCE }, async () => {
    for (let leg = waiting.shift(); leg; leg = waiting.shift()) results.set(leg, await runLeg(leg));
  }),
);
const rows = legs.map((leg) => results.get(leg));
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

/** vitest itself runs on this Node.js, the fixtures on the leg's. What it says is printed when it is through. */
async function runLeg({ major, line }) {
  const node = nodes.get(major);
  const version = versionOf(node);
  const name = join(temporary, `${major}-otel${line}`);
  const report = `${name}.json`;
  const output = openSync(`${name}.txt`, 'w');
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    [
      join(REPOSITORY, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...filesOf({ major, line }),
    ],
    {
      cwd: REPOSITORY,
      stdio: ['ignore', output, output],
      env: {
        ...process.env,
        // From 22.1 on. Most of what a fixture takes is loading the SDK.
        NODE_COMPILE_CACHE: join(temporary, 'compile-cache'),
        TEST_NODE: node,
        TEST_NODE_VERSION: version,
        TEST_APP: apps.get(line),
        TEST_OTEL_LINE: `${line}`,
      },
    },
  );
  const [status] = await once(child, 'exit');
  closeSync(output);
  console.log(`\nNode.js ${version}, OpenTelemetry ${line}.x\n${readFileSync(`${name}.txt`, 'utf8')}`);
  const seconds = (performance.now() - startedAt) / 1000;
  return { version, line, seconds, ok: status === 0, ...counts(report, status) };
}

/** vitest's own counts; a leg that failed without a failed test, e.g. by an unhandled error, counts as one. */
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
