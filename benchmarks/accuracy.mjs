// SPDX-License-Identifier: Apache-2.0
// `npm run bench:accuracy`: who is blamed, and how exactly, for seeded blocks of 1 to 6 times the threshold, each of which
// begins when nothing has been late for a while (on demand: with all hooks off), with and without requests in the
// background. The modes stand side by side on the same seeds, by what is written on spans. See accuracy/service.cjs.
//   BLOCKS=1056   in each mode; BLOCKS=60 for a quick look
//   MODES=on-demand,exact
//   SEED=1        the first process's; each further one counts on
//   TEST_NODE=…   Node.js binaries, with commas between them; default: the one that runs this
//   --lanes 2     so many processes at a time: sooner through, and less of a core for each
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { judge } from './accuracy/verdict.mjs';
import { requireAttributions } from './attribution.mjs';
import { NODES, quantile, versionOf } from './hello.mjs';

/** Six of each kind, three of them with requests in the background. */
const BLOCKS_OF_A_PROCESS = 132;
const TARGETS = [
  { what: 'single right', isMet: (share) => share >= 0.995, text: '≥ 99.5 %' },
  { what: 'falsely blamed', isMet: (share) => share === 0, text: '0' },
  { what: 'shared exactly right', isMet: (share) => share >= 0.9, text: '≥ 90 %' },
  { what: 'one span singled out', isMet: (share) => share <= 0.005, text: '≤ 0.5 %' },
];
const MAX_ERROR_MILLIS = 3;
const MAX_EXAMPLES = 12;

const { lanes } = parseArgs({ options: { lanes: { type: 'string', default: '1' } } }).values;
const BLOCKS = Number(process.env.BLOCKS ?? 1056);
const SEED = Number(process.env.SEED ?? 1);
const modes = (process.env.MODES ?? 'on-demand,exact').split(',');
requireAttributions(modes);

for (const node of NODES) {
  const results = await measure(node);
  print(versionOf(node), results);
}

/** In turns, so that a slow hour of the machine hits all modes. */
async function measure(node) {
  const queue = [];
  for (let done = 0, seed = SEED; done < BLOCKS; done += BLOCKS_OF_A_PROCESS, seed++) {
    const blocks = Math.min(BLOCKS - done, BLOCKS_OF_A_PROCESS);
    for (const attribution of modes) queue.push({ attribution, seed, blocks });
  }
  const all = queue.length;
  const results = new Map(modes.map((mode) => [mode, { rows: [], accused: [], ofTheMachine: 0, ons: 0, offs: 0 }]));
  const lane = async () => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
      const run = await runService(node, task);
      const { rows, accused, ofTheMachine } = judge(run);
      const result = results.get(task.attribution);
      result.rows.push(...rows.map((row) => ({ ...row, seed: task.seed })));
      result.accused.push(...accused);
      result.ofTheMachine += ofTheMachine;
      result.ons += run.ons ?? 0;
      result.offs += run.offs ?? 0;
      process.stderr.write(`\r${all - queue.length}/${all} processes started`);
    }
  };
  await Promise.all(Array.from({ length: Number(lanes) }, lane));
  process.stderr.write('\n');
  return results;
}

async function runService(node, task) {
  const child = fork(fileURLToPath(new URL('./accuracy/service.cjs', import.meta.url)), [JSON.stringify(task)], {
    execPath: node,
    execArgv: [],
    env: { ...process.env, NODE_OPTIONS: '', OTEL_NODE_RESOURCE_DETECTORS: 'none' },
  });
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`seed ${task.seed}, ${task.attribution}: ended with ${code ?? signal}`);
  });
  const [run] = await Promise.race([once(child, 'message'), ended]);
  ended.catch(() => {});
  return run;
}

function print(version, results) {
  const judged = new Map();
  for (const [mode, result] of results) {
    // With hooks on, on demand is exact; and what fell into several iterations, or is too near to a limit, has no verdict.
    const clear = result.rows.filter(({ wasOn, isUnclear, kind, isShared }) => {
      return !wasOn && !isUnclear && kind.startsWith('shared') === isShared;
    });
    judged.set(mode, { ...result, clear });
  }
  console.log(`\nNode.js ${version}, seeds from ${SEED}`);
  printTable('single', judged, ['right', 'falsely blamed']);
  printTable('shared', judged, ['right', 'singled out']);
  for (const [mode, { rows, clear, accused, ofTheMachine, ons, offs }] of judged) {
    const approximate = clear.filter(({ isApproximate }) => isApproximate);
    const began = rows.filter(({ wasOn }) => wasOn).length;
    const parts = [
      `${clear.length} of ${rows.length} blocks judged`,
      `${began} began with hooks on`,
      `${rows.length - began - clear.length} had no clear verdict`,
      `${accused.length} spans accused of other blocks${accused.length > 0 ? ` (${accused.slice(0, 5).join(', ')})` : ''}`,
      `${ofTheMachine} blocks of the machine`,
      `${approximate.length} verdicts said to be approximate, ${approximate.filter(isWrong).length} of them wrong`,
      ...(ons > 0 ? [`switched on ${ons} and off ${offs} times`] : []),
    ];
    console.log(`${mode}: ${parts.join(', ')}`);
    printVerdict(mode, clear, accused);
    const notable = clear.filter((row) => !row.isRight || row.errorMillis > MAX_ERROR_MILLIS);
    for (const row of notable.slice(0, MAX_EXAMPLES)) console.log(`    ${describe(row)}`);
  }
}

function printTable(type, judged, columns) {
  const table = new Table({
    head: [type, ...[...judged.keys()].flatMap((mode) => [`${mode}: n`, ...columns, 'off p50', 'p95, ms'])],
    colAligns: ['left', ...[...judged].flatMap(() => ['right', 'right', 'right', 'right', 'right'])],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  const all = [...judged.values()]
    .flatMap(({ clear }) => clear)
    .filter(({ isShared }) => isShared === (type === 'shared'));
  const groups = new Map([...new Set(all.map(({ kind }) => kind))].map((kind) => [kind, (row) => row.kind === kind]));
  groups.set('without requests', ({ background }) => !background);
  groups.set('with requests', ({ background }) => background);
  groups.set('all', () => true);
  for (const [name, isIn] of groups) {
    const cells = [...judged.values()].flatMap(({ clear }) => {
      const rows = clear.filter((row) => row.isShared === (type === 'shared') && isIn(row));
      const bad = rows.filter((row) => (type === 'shared' ? row.isSingledOut : row.isFalse)).length;
      const errors = errorsOf(rows);
      return [
        rows.length,
        percent(rows.filter(({ isRight }) => isRight).length / rows.length),
        bad,
        ...[0.5, 0.95].map((q) => (errors.length > 0 ? quantile(errors, q).toFixed(1) : '–')),
      ];
    });
    table.push([name, ...cells]);
  }
  console.log(`${table}`);
}

function printVerdict(mode, clear, accused) {
  const single = clear.filter(({ isShared }) => !isShared);
  const shared = clear.filter(({ isShared }) => isShared);
  const shareOf = (rows, isSo) => rows.filter(isSo).length / Math.max(rows.length, 1);
  const values = [
    shareOf(single, ({ isRight }) => isRight),
    shareOf(single, ({ isFalse }) => isFalse) + accused.length / Math.max(clear.length, 1),
    shareOf(shared, ({ isRight }) => isRight),
    shareOf(shared, ({ isSingledOut }) => isSingledOut),
  ];
  const lines = TARGETS.map(({ what, isMet, text }, i) => {
    return { isMet: isMet(values[i]), text: `${what} ${percent(values[i])} (${text})` };
  });
  const error = quantile(errorsOf(clear), 0.95);
  const isNear = error <= MAX_ERROR_MILLIS;
  lines.push({ isMet: isNear, text: `duration off by ${error.toFixed(1)} ms at p95 (≤ ${MAX_ERROR_MILLIS})` });
  for (const line of lines) console.log(`  ${line.isMet ? 'within' : 'OVER  '} ${line.text}`);
  if (mode === modes[0] && lines.some((line) => !line.isMet)) process.exitCode = 1;
}

function isWrong({ isRight }) {
  return !isRight;
}

function errorsOf(rows) {
  return rows.flatMap(({ errorMillis }) => errorMillis ?? []);
}

function describe({ kind, seed, wall, names, isRight, isApproximate, blamed, errorMillis, durationMillis }) {
  const block = `${kind}, ${wall.toFixed(1)} ms, seed ${seed}`;
  if (durationMillis === undefined) return `${block}: not found`;
  const word = isApproximate ? 'approximately ' : '';
  if (!isRight) return `${block}: ${word}blamed ${blamed.join(', ')}; right: ${names.join(', ')}`;
  return `${block}: reported as ${durationMillis.toFixed(1)} ms, off by ${errorMillis.toFixed(1)}`;
}

function percent(share) {
  return Number.isNaN(share) ? '–' : `${(share * 100).toFixed(1)} %`;
}
