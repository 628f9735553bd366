// SPDX-License-Identifier: Apache-2.0
// `npm run test:stories`, or `-- NAME…`: each story of examples/, shortened. Is the culprit found, does its repair help? A
// check that does not hold fails, and so does a story that does not come to its end. `npm run test:engines` is the same
// with the real engines, of the stories that have one; where an engine is missing, its story fails. With `--jaeger` the spans
// of each go to a real Jaeger as well, and are looked for there.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { REPOSITORY } from '../support/apps.mjs';
import { startJaeger } from '../support/backends.mjs';
import { lookForStory } from '../support/stories-in-jaeger.mjs';

/** Generous: on a machine with nothing else to do the longest takes half a minute. */
const LIMIT_MILLIS = 1_200_000;
/** Spans are there in about a second. */
const JAEGER_LIMIT_MILLIS = 60_000;

const LINTED = [
  'database-rows/legacy/stock.mjs',
  ...['heartbeat', 'labels', 'queue'].map((it) => `wedged-server/${it}.mjs`),
];

const folder = join(REPOSITORY, 'examples/stories');
const { values, positionals: asked } = parseArgs({
  allowPositionals: true,
  options: { engine: { type: 'boolean' }, jaeger: { type: 'boolean' } },
});
// What has to be in Jaeger is known of the embedded ones: spans of the engines' own SDKs have other names.
if (values.engine && values.jaeger) throw new Error('either --engine or --jaeger');
const jaeger = values.jaeger ? await startJaeger() : undefined;
const flags = ['--quick', ...(values.engine ? ['--engine'] : []), ...(jaeger ? ['--otlp', jaeger.otlp] : [])];
const all = readdirSync(folder)
  .filter((name) => existsSync(join(folder, name, 'story.mjs')))
  .filter(
    (name) => !values.engine || /^export const engine\b/m.test(readFileSync(join(folder, name, 'story.mjs'), 'utf8')),
  );
const startedAt = performance.now();
let passed = 0;
let failed = 0;

for (const name of asked.length > 0 ? asked : all) {
  const begunAt = performance.now();
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['examples/run.mjs', name, ...flags], {
    cwd: REPOSITORY,
    encoding: 'utf8',
    timeout: LIMIT_MILLIS,
  });
  const held = stdout.match(/^✔ .+$/gm) ?? [];
  const broken = stdout.match(/^✖ .+$/gm) ?? [];
  const isWhole = status === 0 && held.length > 0 && broken.length === 0;
  passed += held.length;
  failed += isWhole ? 0 : Math.max(1, broken.length);
  const seconds = ((performance.now() - begunAt) / 1000).toFixed(0);
  console.log(
    isWhole ? `ok      ${name}: ${held.length} checks, ${seconds} s` : `FAILED  ${name} ended with ${status ?? signal}`,
  );
  if (!isWhole) console.log(`${stdout}\n${stderr}`.replace(/^/gm, '        '));
  if (jaeger) await inJaeger(name);
}
if (asked.length === 0 && !values.engine && !values.jaeger) {
  lint();
  addresses();
  missingEngines();
}

console.log(`\nin ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);

async function inJaeger(name) {
  const until = performance.now() + JAEGER_LIMIT_MILLIS;
  let found;
  do {
    if (found) await sleep(500);
    found = await lookForStory(jaeger.api, name);
  } while (found.some(({ lack }) => lack) && performance.now() < until);
  for (const { what, lack } of found) {
    if (lack) failed++;
    else passed++;
    console.log(lack ? `FAILED  in Jaeger, ${what}: ${lack}` : `ok      in Jaeger, ${what}`);
  }
}

/** What docs/find-and-fix.md says that a linter finds in the stories' code. */
function lint() {
  const eslint = join(folder, 'node_modules/eslint/bin/eslint.js');
  const { stdout, stderr } = spawnSync(process.execPath, [eslint, '--format', 'json'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const found = JSON.parse(stdout || '[]').filter(({ messages }) => messages.length > 0);
  const files = found.map(({ filePath }) => relative(folder, filePath)).sort();
  const isRight = JSON.stringify(files) === JSON.stringify(LINTED);
  if (isRight) passed++;
  else failed++;
  console.log(isRight ? 'ok      the linter' : `FAILED  the linter found ${files}\n${stderr}`);
}

/** Nothing goes to pg's default address, where somebody else's database may be: without its own it says so. */
function addresses() {
  const { DATABASE_URL, ...env } = process.env;
  for (const file of ['server.mjs', 'psql.mjs']) {
    const { status, stderr } = spawnSync(process.execPath, [join(folder, 'database-rows', file)], {
      env,
      encoding: 'utf8',
    });
    const isRight = status === 1 && stderr.includes('DATABASE_URL is not set');
    if (isRight) passed++;
    else failed++;
    console.log(isRight ? `ok      ${file} without an address` : `FAILED  ${file} without an address\n${stderr}`);
  }
}

/** One line that says how to get it, in place of a story. */
function missingEngines() {
  const missing = {
    'loop-latency': /^.*prometheus is not there; .*apt-get install.* prometheus\n$/,
    'payload-codec': /^.*temporal .* is built with Go, which is not there; install Go .*, or .*TEMPORAL_ADDRESS=.*\n$/,
  };
  for (const [name, line] of Object.entries(missing)) {
    const { TEMPORAL_ADDRESS, ...env } = process.env;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['examples/run.mjs', name, '--engine'], {
      cwd: REPOSITORY,
      encoding: 'utf8',
      env: { ...env, PATH: '', ENGINES_FOLDER: join(folder, 'no such folder') },
    });
    const isRight = status === 1 && stdout === '' && line.test(stderr);
    if (isRight) passed++;
    else failed++;
    console.log(
      isRight
        ? `ok      ${name} without its engine`
        : `FAILED  ${name} without its engine: ${status}\n${stdout}${stderr}`,
    );
  }
}
