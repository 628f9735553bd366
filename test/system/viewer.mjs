// SPDX-License-Identifier: Apache-2.0
// `npm run test:viewer`: the trace file of `./debug` in speedscope, in a real browser and without a network: all tracks are
// there, and the functions that blocked with their share. Needs Debian's package `chromium`; speedscope comes from npm, into
// `.matrix/`.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { NPM_FLAGS, npm, PACKAGE_NAME, REPOSITORY, temporaryFolder } from '../support/apps.mjs';

const SPEEDSCOPE = '1.25.0';
const TIMEOUT_MILLIS = 120_000;
const PROGRAM = `
function spin(millis) {
  const until = performance.now() + millis;
  while (performance.now() < until);
}
function parseFeed() { spin(200); }
function buildReport() { parseFeed(); }
let turns = 0;
const timer = setInterval(() => {
  buildReport();
  if (++turns > 3) clearInterval(timer);
}, 50);
`;
const EXPECTED = [
  'event loop (tid 1)',
  'garbage collection (tid 2)',
  'stacks in blocks (tid 3)',
  'buildReport',
  'parseFeed',
];

const folder = temporaryFolder();
const page = preparePage(writeTrace());
const { error, stdout, stderr } = spawnSync(
  'chromium',
  // Its clock waits for nothing but what it loads.
  [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--enable-unsafe-swiftshader',
    '--use-gl=angle',
    '--use-angle=swiftshader',
    '--allow-file-access-from-files',
    '--virtual-time-budget=15000',
    '--dump-dom',
    page,
  ],
  { encoding: 'utf8', timeout: TIMEOUT_MILLIS },
);
if (error) throw error;
const text = stdout.replaceAll(/<script[\s\S]*?<\/script>|<[^>]*>/g, '\n');
let failed = 0;
for (const expected of EXPECTED) {
  const isThere = text.includes(expected);
  if (!isThere) failed++;
  console.log(`${isThere ? 'ok     ' : 'FAILED '} ${expected}`);
}
if (failed > 0) console.log(`${text.replaceAll(/\n\s*\n+/g, '\n').slice(0, 3_000)}\n${stderr.slice(-1_000)}`);
console.log(`${EXPECTED.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

function writeTrace() {
  writeFileSync(join(folder, 'app.cjs'), PROGRAM);
  const { status, stderr: said } = spawnSync(
    process.execPath,
    ['--import', import.meta.resolve(`${PACKAGE_NAME}/debug`), join(folder, 'app.cjs')],
    {
      encoding: 'utf8',
      cwd: folder,
      env: { ...process.env, OTEL_EVENT_LOOP_DEBUG_TRACE_FILE: join(folder, 'loop.json') },
    },
  );
  if (status !== 0) throw new Error(said);
  return readdirSync(folder).find((name) => /^loop\.\d+\.json$/.test(name));
}

/** Speedscope as its package has it, which its own command opens in the same way, and somebody who chooses a track and a view. */
function preparePage(trace) {
  const installed = join(REPOSITORY, '.matrix/speedscope', SPEEDSCOPE);
  if (!existsSync(join(installed, 'node_modules'))) {
    mkdirSync(installed, { recursive: true });
    writeFileSync(join(installed, 'package.json'), '{ "private": true }\n');
    npm(['install', ...NPM_FLAGS, `speedscope@${SPEEDSCOPE}`], installed);
  }
  const release = join(folder, 'release');
  cpSync(join(installed, 'node_modules/speedscope/dist/release'), release, { recursive: true });
  const profile = readFileSync(join(folder, trace)).toString('base64');
  const script = join(release, 'profile.js');
  writeFileSync(script, `speedscope.loadFileFromBase64('${trace}', '${profile}')`);
  // Twice to the next track, and to the table of functions.
  const keys = `<script>['n', 'n', '3'].forEach((key, i) => setTimeout(() => {
    for (const type of ['keydown', 'keypress']) window.dispatchEvent(new KeyboardEvent(type, { key, bubbles: true }));
  }, 3_000 + i * 1_000));</script></body>`;
  const index = join(release, 'index.html');
  writeFileSync(index, readFileSync(index, 'utf8').replace('</body>', keys));
  return `${pathToFileURL(index)}#localProfilePath=${script}`;
}
