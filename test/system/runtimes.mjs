// SPDX-License-Identifier: Apache-2.0
// `npm run test:runtimes`: Deno and Bun, from their npm packages, and Node.js for comparison. The package is for Node.js;
// elsewhere it must load, in every way, do no harm, and say in one line what cannot be had.
// `npm run test:runtimes -- deno` runs only that.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installApp, NPM_FLAGS, npm, PACKAGE_NAME, pack, REPOSITORY, temporaryFolder } from '../support/apps.mjs';
import { check, sumUp } from '../support/checks.mjs';

/** Held at these, so that what passes today passes tomorrow. */
const VERSIONS = { deno: '2.9.6', bun: '1.4.4' };
const BLOCK_MILLIS = 150;
const TIMEOUT_MILLIS = 60_000;

/** How a program is run, and what is to come of it. */
const RUNTIMES = {
  node: { command: () => [process.execPath], blamed: 'guilty', said: [], watches: true },
  deno: {
    command: () => [binaryOf('deno'), 'run', '--allow-all', '--no-lock', '--node-modules-dir=manual'],
    blamed: undefined,
    said: ['stands aside: this runtime does not tell how long its event loop waits'],
    watches: false,
  },
  bun: {
    command: () => [binaryOf('bun'), 'run'],
    blamed: undefined,
    said: ['stands aside: this runtime does not tell how long its event loop waits'],
    watches: false,
  },
};

const BLOCK = `
const block = () => {
  const until = performance.now() + ${BLOCK_MILLIS};
  while (performance.now() < until);
};
const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
/** The start of a program is over with the first turn of the loop that runs a callback; what that one does belongs to it. */
const started = async () => {
  for (let i = 0; i < 4; i++) await sleep(50);
};
`;

/** The instrumentation in code, in an application that says what it was told. */
const IN_CODE = (load) => `
${load}
${BLOCK}
const lines = [];
const note = (...words) => lines.push(words.join(' '));
diag.setLogger({ error: note, warn: note, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
const blocks = [];
subscribe('${PACKAGE_NAME}:block', (block) => blocks.push({ millis: block.durationMillis, blamed: block.blamed.map(({ name }) => name) }));
new NodeTracerProvider().register();
const instrumentation = new EventLoopInstrumentation();
registerInstrumentations({ instrumentations: [instrumentation] });
async function main() {
  await started();
  const returned = trace.getTracer('app').startActiveSpan('guilty', (span) => {
    block();
    allowBlocking(block);
    span.end();
    return trace.getActiveSpan() === span;
  });
  await sleep(100);
  // Whatever is known is reported then.
  instrumentation.disable();
  console.log(JSON.stringify({ lines, blocks, returned }));
}
main();
`;
const AT_THE_DOOR = `${BLOCK}
started().then(block).then(() => sleep(100)).then(() => console.log('done'));
`;
const NAMES = [
  ['node:diagnostics_channel', 'subscribe'],
  ['@opentelemetry/api', 'diag, DiagLogLevel, trace'],
  ['@opentelemetry/instrumentation', 'registerInstrumentations'],
  ['@opentelemetry/sdk-trace-node', 'NodeTracerProvider'],
  [PACKAGE_NAME, 'allowBlocking, EventLoopInstrumentation'],
];
const PROGRAMS = {
  'code.mjs': IN_CODE(NAMES.map(([from, names]) => `import { ${names} } from '${from}';`).join('\n')),
  'code.cjs': IN_CODE(NAMES.map(([from, names]) => `const { ${names} } = require('${from}');`).join('\n')),
  ...Object.fromEntries(
    ['register', 'debug'].flatMap((door) => [
      [`${door}.mjs`, `import '${PACKAGE_NAME}/${door}';${AT_THE_DOOR}`],
      [`${door}.cjs`, `require('${PACKAGE_NAME}/${door}');${AT_THE_DOOR}`],
    ]),
  ),
};

const chosen = process.argv.slice(2);

const temporary = temporaryFolder();
const app = join(temporary, 'app');
installApp(app, 2, pack(temporary).tarball, process.execPath);
for (const [file, source] of Object.entries(PROGRAMS)) writeFileSync(join(app, file), source);

for (const [name, runtime] of Object.entries(RUNTIMES)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  const [command, ...args] = runtime.command();
  const version = spawnSync(command, ['--version'], { encoding: 'utf8' }).stdout.split('\n')[0];
  for (const file of Object.keys(PROGRAMS)) {
    check(`${name} (${version}): ${file}`, () => checkProgram(runtime, file, run(command, [...args, file])));
  }
}
sumUp();

function checkProgram(runtime, file, { stdout, stderr }) {
  const own = (text) =>
    text.split('\n').flatMap((line) => line.split(`${PACKAGE_NAME} `)[1] ?? line.split(`${PACKAGE_NAME}: `)[1] ?? []);
  if (file.startsWith('code')) {
    const { lines, blocks, returned } = JSON.parse(stdout);
    expectSame('what it says', own(lines.join('\n')), runtime.said);
    expectSame('what the application returns', returned, true);
    const found = blocks.filter(({ blamed }) => blamed.includes(runtime.blamed));
    // Only what is known is told: no block that none can vouch for.
    if (runtime.watches) expectSame('who blocked', found.length > 0, true);
    else expectSame('blocks', blocks, []);
    expectSame('stderr', stderr, '');
    return;
  }
  expectSame('stdout', stdout, 'done\n');
  if (!file.startsWith('debug')) {
    expectSame('stderr', stderr, '');
  } else if (runtime.watches) {
    if (!/^event loop blocked for \d+ ms/m.test(stderr)) throw new Error(`./debug printed ${JSON.stringify(stderr)}`);
  } else {
    expectSame('what ./debug says', own(stderr), runtime.said);
    expectSame('lines of ./debug', stderr.trim().split('\n').length, runtime.said.length);
  }
}

function run(command, args) {
  const env = {
    ...process.env,
    NO_COLOR: '1',
    // Whom it blames does not depend on whether the machine has a core for the watchdog, and what a busy one makes a hang
    // is none of this.
    OTEL_EVENT_LOOP_ATTRIBUTION: 'exact',
    OTEL_EVENT_LOOP_HANG_THRESHOLD_MILLIS: '0',
  };
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, {
    cwd: app,
    encoding: 'utf8',
    timeout: TIMEOUT_MILLIS,
    env,
  });
  if (status !== 0) throw new Error(`ended with ${error ?? status ?? signal}\n${stdout}${stderr}`);
  return { stdout, stderr };
}

/** Installed once, into `.matrix`; both ship their binary in a package for each platform. */
function binaryOf(name) {
  const folder = join(REPOSITORY, '.matrix/runtimes', `${name}-${VERSIONS[name]}`);
  if (!existsSync(join(folder, 'node_modules'))) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    npm(['install', ...NPM_FLAGS, `${name}@${VERSIONS[name]}`], folder);
  }
  const scope = join(folder, 'node_modules', name === 'deno' ? '@deno' : '@oven');
  const candidates = readdirSync(scope)
    // The builds for old processors are the slower ones, and each C library has its own.
    .sort((a, b) => a.length - b.length)
    .map((platform) => join(scope, platform, name === 'deno' ? 'deno' : 'bin/bun'));
  const binary = candidates.find((path) => existsSync(path) && spawnSync(path, ['--version']).status === 0);
  if (binary === undefined) throw new Error(`no ${name} for ${process.platform} on ${process.arch} in ${scope}`);
  return binary;
}

function expectSame(what, actual, expected) {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (is !== should) throw new Error(`${what}: ${is}, not ${should}`);
}
