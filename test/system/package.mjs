// SPDX-License-Identifier: Apache-2.0
// `npm run test:package`: is what would be published whole? The tarball itself is checked, then fresh applications
// install it beside both lines of OpenTelemetry, compile against its types, load it, and must see a blamed span.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  installApp,
  lineDependencies,
  nodeBinaries,
  npm,
  OTEL_LINES,
  PACKAGE_NAME,
  pack,
  REPOSITORY,
  temporaryFolder,
} from '../support/apps.mjs';
import { check, sumUp } from '../support/checks.mjs';
import { fencesIn, lineOf } from '../support/fences.mjs';

const REQUIRED_FILES = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'];
const FOLDERS = ['dist/', 'docs/', 'examples/'];
const TSC = join(REPOSITORY, 'node_modules/typescript/bin/tsc');

/** As a user would write it; the same in every module format and line. */
const APP_SOURCE = `
import { trace } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { type Block, EventLoopInstrumentation, type EventLoopInstrumentationConfig } from '${PACKAGE_NAME}';

const seen: string[] = [];
let guilty = '';
const config: EventLoopInstrumentationConfig = {
  blockThresholdMillis: 40,
  blockHook(block: Block, span) {
    span.setAttribute('app.millis', block.durationMillis);
  },
};
const sdk = new NodeSDK({
  instrumentations: [new EventLoopInstrumentation(config)],
  spanProcessors: [
    {
      onStart() {},
      onEnd(span) {
        if (span.name === 'guilty' && span.attributes['eventloop.blocked'] === true) seen.push(span.name);
        // A busy machine makes blocks of its own.
        if (span.parentSpanContext?.spanId !== guilty) return;
        if (typeof span.attributes['app.millis'] === 'number') seen.push(span.name);
      },
      async forceFlush() {},
      async shutdown() {},
    },
  ],
});
sdk.start();

setTimeout(() => {
  trace.getTracer('app').startActiveSpan('guilty', (span) => {
    guilty = span.spanContext().spanId;
    const end = performance.now() + 80;
    while (performance.now() < end);
    span.end();
  });
  setTimeout(() => console.log(seen.join(', ')), 300);
}, 50);
`;
const EXPECTED_OUTPUT = 'guilty, event loop blocked\n';

const CONSOLE = {
  OTEL_TRACES_EXPORTER: 'console',
  OTEL_NODE_RESOURCE_DETECTORS: 'none',
  OTEL_BSP_SCHEDULE_DELAY: '100',
};
const COMMAND_LINE_SOURCE = `
const http = require('node:http');
const server = http.createServer((request, response) => {
  const end = performance.now() + 80;
  while (performance.now() < end);
  response.end();
});
server.listen(0, () => setTimeout(() => http.get({ port: server.address().port, agent: false }, (r) => r.resume()), 200));
setTimeout(() => server.close(), 600);
`;

const LOGGING_SDK_SOURCE = `
const { NodeSDK } = require('@opentelemetry/sdk-node');
const processor = { async forceFlush() {}, async shutdown() {}, onStart() {}, onEnd() {} };
const print = { ...processor, onEmit: ({ eventName, body }) => console.log(eventName + ': ' + body) };
const start = (instrumentations) =>
  new NodeSDK({ instrumentations, spanProcessors: [processor], logRecordProcessors: [print] }).start();
if (process.env.IN_CODE === 'true') {
  const { EventLoopInstrumentation } = require('${PACKAGE_NAME}');
  globalThis.start = () => start([new EventLoopInstrumentation()]);
} else {
  start([]);
}
`;

/** The ways in which applications compile, by the kind of package that they are. */
const COMPILATIONS = {
  module: [{ module: 'nodenext' }],
  commonjs: [
    { module: 'nodenext' },
    { module: 'commonjs', moduleResolution: 'bundler' },
    // The classic way; TypeScript 6 still does it where asked to.
    { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0' },
  ],
};

const temporary = temporaryFolder();

const { tarball, files } = pack(temporary);
check('the tarball holds what it should and nothing else', () => {
  const surplus = files.filter(
    (file) => !FOLDERS.some((folder) => file.startsWith(folder)) && !REQUIRED_FILES.includes(file),
  );
  const missing = REQUIRED_FILES.filter((file) => !files.includes(file));
  if (surplus.length + missing.length > 0) throw new Error(`surplus: ${surplus}; missing: ${missing}`);
});
check('publint', () => npm(['exec', '--no', '--', 'publint', 'run', tarball, '--strict'], REPOSITORY));
check('are the types wrong', () => npm(['exec', '--no', '--', 'attw', tarball], REPOSITORY));

checkCommandLine();
checkMixedLines();
for (const [line, { firstNode }] of Object.entries(OTEL_LINES))
  checkLine(line, nodeBinaries([firstNode]).get(firstNode));

sumUp();

/** One application as seen by npm; in it, a package of each kind that compiles in its ways. */
function checkLine(line, node) {
  const app = join(temporary, `otel${line}`);
  const isInstalled = check(`OpenTelemetry ${line}.x: installs without a conflict`, () => {
    const output = installApp(app, line, tarball, node, { dependencies: lineDependencies() });
    if (/ERESOLVE|EBADENGINE/.test(output)) throw new Error(output);
    npm(['ls', '--all'], app, node);
  });
  if (!isInstalled) return;
  for (const [type, compilations] of Object.entries(COMPILATIONS)) checkApp(app, line, node, type, compilations);
  check(`OpenTelemetry ${line}.x: the snippets of the pages compile, strict`, () => checkSnippets(app, line));
}

/** As a reader would copy them, but for those that say that they are for the other line. */
function checkSnippets(parent, line) {
  const folder = join(parent, 'snippets');
  mkdirSync(folder);
  const pages = ['README.md', ...readdirSync(join(REPOSITORY, 'docs')).map((name) => `docs/${name}`)];
  const files = pages.flatMap((page) =>
    fencesIn(readFileSync(join(REPOSITORY, page), 'utf8'))
      .filter((fence) => /^[jt]s$/.test(fence.language) && (lineOf(fence) ?? line) === line)
      // What is about runners of tests is compiled where these are: by snippets.test.ts.
      .filter(({ code }) => !/'(?:vitest|mocha|jest|ava)\b/.test(code))
      .map(({ language, code, line: at }) => {
        const extension = language === 'ts' ? 'mts' : /\brequire\(/.test(code) ? 'cjs' : 'mjs';
        const file = `${page.replaceAll(/\W/g, '-')}-${at}.${extension}`;
        writeFileSync(join(folder, file), code);
        return file;
      }),
  );
  if (files.length < 8) throw new Error(`there are only ${files}`);
  const compilerOptions = { target: 'es2022', module: 'nodenext', strict: true, types: ['node'], noEmit: true };
  Object.assign(compilerOptions, { allowJs: true, checkJs: true, skipLibCheck: true });
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  run(process.execPath, [TSC], folder);
}

function checkApp(parent, line, node, type, compilations) {
  const app = join(parent, type);
  const title = `OpenTelemetry ${line}.x, type ${type}`;
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), JSON.stringify({ type }));
  writeFileSync(join(app, 'app.ts'), APP_SOURCE);
  for (const [index, options] of compilations.entries()) {
    const outDir = join(app, `out${index}`);
    const how = Object.values(options).slice(0, 2).join(', ');
    const isCompiled = check(`${title}: compiles with ${how}`, () => {
      const compilerOptions = { target: 'es2022', strict: true, types: ['node'], rootDir: '.', outDir, ...options };
      writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['app.ts'] }));
      run(process.execPath, [TSC], app);
    });
    if (!isCompiled) continue;
    check(`${title}: blames the span (${how})`, () => {
      const output = run(node, [join(outDir, 'app.js')], app);
      if (output !== EXPECTED_OUTPUT) throw new Error(`printed ${JSON.stringify(output)}`);
    });
  }
}

/** Nothing in the application's code: both are loaded by the command line, in either order. */
function checkCommandLine() {
  const app = join(temporary, 'command-line');
  const node = nodeBinaries([20]).get(20);
  const isInstalled = check('auto-instrumentations-node: installs without a conflict', () => {
    installApp(app, 2, tarball, node, { dependencies: { '@opentelemetry/auto-instrumentations-node': '~0.78.0' } });
  });
  if (!isInstalled) return;
  writeFileSync(join(app, 'app.cjs'), COMMAND_LINE_SOURCE);
  const entries = ['@opentelemetry/auto-instrumentations-node/register', `${PACKAGE_NAME}/register`];
  for (const [title, ordered] of [
    ['ahead of', entries],
    ['after', entries.toReversed()],
  ]) {
    for (const flag of ['--import', '--require']) {
      check(`auto-instrumentations-node: blames the span, ${title} ./register by ${flag}`, () => {
        const output = run(node, [...ordered.flatMap((entry) => [flag, entry]), 'app.cjs'], app, CONSOLE);
        if (!output.includes("'eventloop.blocked': true")) throw new Error(`printed ${output}`);
      });
    }
  }
}

/** `@opentelemetry/api` 1.10, which has logs of its own, beside an SDK 2.x, which does not use them. */
function checkMixedLines() {
  const app = join(temporary, 'mixed-lines');
  const node = nodeBinaries([20]).get(20);
  const isInstalled = check('API 1.10 beside SDK 2.x: installs', () => {
    // 2.x asks for an API below 1.10, but gets what is there where npm is told not to mind.
    const { '@opentelemetry/api': api } = OTEL_LINES[3].dependencies;
    installApp(app, 2, tarball, node, { dependencies: { '@opentelemetry/api': api }, mayConflict: true });
  });
  if (!isInstalled) return;
  writeFileSync(join(app, 'sdk.cjs'), LOGGING_SDK_SOURCE);
  writeFileSync(
    join(app, 'app.cjs'),
    // Behind a few turns of the loop: where the machine is busy, the first may be the start of the program as a whole.
    `let turns = 0;
    const timer = setInterval(() => {
      if (++turns < 5) return;
      clearInterval(timer);
      const end = Date.now() + 80;
      while (Date.now() < end);
    }, 25);`,
  );
  writeFileSync(join(app, 'in-code.cjs'), "globalThis.start(); require('./app.cjs');");
  const register = `${PACKAGE_NAME}/register`;
  for (const [title, args] of [
    ['./register after the SDK', ['--require', './sdk.cjs', '--import', register, 'app.cjs']],
    ['./register ahead of the SDK', ['--import', register, '--require', './sdk.cjs', 'app.cjs']],
    ['./register as CommonJS', ['--require', './sdk.cjs', '--require', register, 'app.cjs']],
    ['the instrumentation in code', ['--require', './sdk.cjs', 'in-code.cjs']],
  ]) {
    check(`API 1.10 beside SDK 2.x: ${title} sends log events`, () => {
      const output = run(node, args, app, { IN_CODE: String(args.includes('in-code.cjs')) });
      if (!/^eventloop\.block: event loop blocked for \d+ ms/m.test(output)) {
        throw new Error(`printed ${JSON.stringify(output)}`);
      }
    });
  }
}

function run(file, args, cwd, environment = {}) {
  const { status, signal, stdout, stderr } = spawnSync(file, args, {
    cwd,
    encoding: 'utf8',
    timeout: 120_000,
    env: {
      ...process.env,
      OTEL_TRACES_EXPORTER: 'none',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_LOGS_EXPORTER: 'none',
      ...environment,
    },
  });
  if (status !== 0 || stderr !== '') throw new Error(`ended with ${status ?? signal}\n${stdout}${stderr}`);
  return stdout;
}
