// SPDX-License-Identifier: Apache-2.0
// `npm run test:mutants`: do the tests notice a fault? Each of the faults below is put into a copy of this checkout, one
// at a time; the copy is built, and the unit tests and the scenarios that should notice run there. A fault that no test
// notices fails, and so does one that the source has no place for any more. `npm run test:mutants -- "wrong line"` tries
// those whose name holds the words; `--check` only looks whether all of them still have their place.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import Table from 'cli-table3';
import { REPOSITORY, temporaryFolder } from '../support/apps.mjs';

/**
 * `from` has to stand in `file` exactly once and becomes `to`. `scenarios` are those that should notice, beside the unit
 * tests: a file in test/scenarios, and part of a title.
 */
const MUTANTS = [
  {
    name: 'a slice charged to the wrong span',
    file: 'src/recorder/recorder.ts',
    from: 'this._charge(time);\n    this._since = time;\n    this._context = context;\n    this._tally = tally;',
    to: 'this._tally = tally;\n    this._charge(time);\n    this._since = time;\n    this._context = context;',
    scenarios: [{ file: 'attribution.test.ts', title: 'an HTTP server with instrumentation-http' }],
  },
  {
    name: 'the wrong one of the last two contexts',
    file: 'src/recorder/span-lookup.ts',
    from: 'return this._formerTally;\n    this._isBusy',
    to: 'return this._knownTally;\n    this._isBusy',
    scenarios: [],
  },
  {
    name: 'a nested callback that gives no scopes back',
    file: 'src/recorder/recorder.ts',
    from: 'this._overridden.set(override, this._calls.scopes);',
    to: 'this._overridden.set(override, 0);',
    scenarios: [],
  },
  {
    name: 'a lost block',
    file: 'src/monitor/block-monitor.ts',
    from: 'of due) ',
    to: 'of due.slice(1)) ',
    scenarios: [{ file: 'attribution.test.ts', title: 'sees each of four blocks of one setInterval' }],
  },
  {
    name: 'a hang report never sent',
    file: 'src/watchdog/worker/hang-report.ts',
    from: 'logs: hangLog }, this._signals, ',
    to: 'logs: hangLog }, [], ',
    scenarios: [{ file: 'hang.test.ts', title: 'is reported while it lasts, in its trace' }],
  },
  {
    name: 'a cause swapped',
    file: 'src/block/cause.ts',
    from: "return 'cpu';",
    to: "return 'wait';",
    scenarios: [{ file: 'cause.test.ts', title: 'causeOf' }],
  },
  {
    name: 'a stalled span not marked',
    file: 'src/monitor/stalls.ts',
    from: 'this._unmarked.add(share);',
    to: '',
    scenarios: [
      { file: 'stalled.test.ts', title: 'marks those who really waited' },
      { file: 'stalled.test.ts', title: 'counts each of several blocks in a row' },
    ],
  },
  {
    name: 'a span written to after its end',
    file: 'src/otel/span-facts.ts',
    from: 'span.isRecording() && ',
    to: '',
    scenarios: [{ file: 'block-span.test.ts', title: 'a blamed span that had ended' }],
  },
  {
    name: 'a wrong line',
    file: 'src/watchdog/look.ts',
    from: 'lineNumber: site.getLineNumber() ?? 0',
    to: 'lineNumber: site.getEnclosingLineNumber() ?? 0',
    scenarios: [{ file: 'watchdog.test.ts', title: 'names the span and the function' }],
  },
  {
    name: 'a hook left on by disable()',
    file: 'src/hooks/hooks.ts',
    from: 'hook.disable();',
    to: '',
    scenarios: [{ file: 'lifecycle.test.ts', title: 'leave no hook, timer, wrap or listener behind' }],
  },
  {
    name: 'a percentile off by a bucket',
    file: 'src/delay/delay-window.ts',
    from: 'const edge = edgeOf(i);',
    to: 'const edge = edgeOf(i + 1);',
    scenarios: [],
  },
  {
    name: 'a log event without its trace',
    file: 'src/report/logs.ts',
    from: 'context: span ? trace.setSpan(ROOT_CONTEXT, span) : ROOT_CONTEXT',
    to: 'context: span ? ROOT_CONTEXT : trace.deleteSpan(ROOT_CONTEXT)',
    scenarios: [{ file: 'otlp.test.ts', title: 'into its trace, as a span and as a log event' }],
  },
];

/** Of all that this machine can do, vitest and the process under test need about one core together. */
const COPIES_AT_ONCE = Math.max(2, availableParallelism());
const ROLLDOWN = join(REPOSITORY, 'node_modules/rolldown/bin/cli.mjs');
const CONFIG = 'rolldown.code.config.mjs';
const VITEST = join(REPOSITORY, 'node_modules/vitest/vitest.mjs');

const startedAt = performance.now();
const words = process.argv.slice(2);
const isCheck = words[0] === '--check';
const mutants = MUTANTS.filter(({ name }) => isCheck || name.includes(words.join(' ')));
if (mutants.length === 0) {
  console.error(`no such fault: ${words.join(' ')}; there are: ${MUTANTS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const homeless = mutants.flatMap((mutant) => complaintAbout(mutant) ?? []);
for (const complaint of homeless) console.error(`FAILED  ${complaint}`);
if (isCheck || homeless.length > 0) process.exit(homeless.length > 0 ? 1 : 0);

const temporary = temporaryFolder();
// What fails without a fault says nothing about one.
const waiting = [{ name: 'no fault', scenarios: mutants.flatMap(({ scenarios }) => scenarios) }, ...mutants];
const results = new Map();
await Promise.all(
  Array.from({ length: COPIES_AT_ONCE }, async () => {
    for (let mutant = waiting.shift(); mutant; mutant = waiting.shift()) {
      results.set(mutant.name, await tryMutant(mutant).catch(giveUp));
    }
  }),
);

const sound = results.get('no fault') ?? ['nothing runs'];
for (const title of sound) console.log(`FAILED  without a fault: ${title}`);
const table = new Table({
  head: ['fault', 'noticed by'],
  style: { head: [], border: [] },
  colWidths: [36, 100],
  wordWrap: true,
});
let survivors = 0;
for (const { name } of mutants) {
  const noticedBy = (results.get(name) ?? []).filter((title) => !sound.includes(title));
  if (noticedBy.length === 0) survivors++;
  table.push([name, noticedBy.join('\n') || 'nobody']);
}
console.log(`${table}\n\nin ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
console.log(`${mutants.length - survivors} passed, ${survivors + sound.length} failed`);
process.exitCode = survivors + sound.length > 0 ? 1 : 0;

/** Why the fault cannot be put in, or undefined. */
function complaintAbout({ name, file, from }) {
  const path = join(REPOSITORY, file);
  const found = existsSync(path) ? readFileSync(path, 'utf8').split(from).length - 1 : 0;
  return found === 1 ? undefined : `${name}: ${file} holds ${found} times, and not once:\n${from}`;
}

/** What could not be tried is as bad as what nobody notices. */
function giveUp(error) {
  console.log(`FAILED  ${error.message}`);
}

/** Puts the fault into a copy of its own, and returns what fails there: `file: title` of each test. */
async function tryMutant({ name, file, from, to, scenarios }) {
  const copy = copyCheckout(name.replaceAll(/\W+/g, '-'));
  if (file !== undefined) {
    const path = join(copy, file);
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace(from, () => to),
    );
  }
  // Types, which come last, take most of the time that a build takes, and nobody looks at them here.
  writeFileSync(join(copy, CONFIG), "import all from './rolldown.config.mjs';\nexport default all.slice(0, 2);\n");
  const build = await run(process.execPath, [ROLLDOWN, '-c', CONFIG, '--log-level', 'warn'], copy);
  if (build.status !== 0) throw new Error(`${name} does not build\n${build.output}`);
  // Whether all faults have their place is no question of a copy that has one.
  const failed = await failedTests(copy, ['test/unit', '--exclude', 'test/unit/mutants.test.ts']);
  if (scenarios.length > 0) {
    const files = scenarios.map((scenario) => `test/scenarios/${scenario.file}`);
    const titles = scenarios.map(({ title }) => title.replaceAll(/[^\w ,]/g, '.')).join('|');
    failed.push(...(await failedTests(copy, [...new Set(files), '-t', titles])));
  }
  console.log(
    `${failed.length > 0 === (file !== undefined) ? 'ok     ' : 'FAILED '} ${name}: ${failed.length} tests fail`,
  );
  return failed;
}

/** Everything that belongs to the repository, as it stands here; what is installed is shared. */
function copyCheckout(name) {
  const copy = join(temporary, name);
  const list = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: REPOSITORY,
    encoding: 'utf8',
  });
  for (const file of list.split('\0').filter((file) => file !== '' && existsSync(join(REPOSITORY, file)))) {
    cpSync(join(REPOSITORY, file), join(copy, file));
  }
  symlinkSync(join(REPOSITORY, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

async function failedTests(copy, args) {
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const { output } = await run(
    process.execPath,
    [VITEST, 'run', '--reporter=json', `--outputFile=${report}`, ...args],
    copy,
  );
  if (!existsSync(report)) throw new Error(`vitest ${args.join(' ')} says nothing\n${output}`);
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
  const tests = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map(({ status, fullName }) => ({ status, title: `${basename(name)}: ${fullName}` })),
  );
  if (!tests.some(({ status }) => status === 'passed' || status === 'failed')) {
    throw new Error(`vitest ${args.join(' ')} runs no test\n${output}`);
  }
  return tests.filter(({ status }) => status === 'failed').map(({ title }) => title);
}

async function run(command, args, cwd) {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  const [status] = await once(child, 'close');
  return { status, output };
}
