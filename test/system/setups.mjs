// SPDX-License-Identifier: Apache-2.0
// `npm run test:setups`: what docs/setups.md says of frameworks, bundlers, process managers and Lambda, tried as it stands
// there. Each blocks the loop: the span, the function and its file must be told. `npm run test:setups -- next pm2` tries only
// those; TEST_NODE chooses the Node.js.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { installApp, PACKAGE_NAME, pack, REPOSITORY, temporaryFolder, versionOf } from '../support/apps.mjs';
import { endChildren, freePort, startChild } from '../support/servers.mjs';

/** Held at these, so that what passes today passes tomorrow. */
const BUNDLERS = {
  '@rollup/plugin-commonjs': '29.0.3',
  '@rollup/plugin-json': '6.1.0',
  '@rollup/plugin-node-resolve': '16.0.3',
  esbuild: '0.28.2',
  rollup: '4.68.5',
  vite: '8.3.8',
  webpack: '5.112.2',
  'webpack-cli': '7.3.1',
};
const NEXT = { next: '16.4.6', react: '19.3.1', 'react-dom': '19.3.1' };
const NEST = {
  '@nestjs/common': '12.5.1',
  '@nestjs/core': '12.5.1',
  '@nestjs/platform-express': '12.5.1',
  'reflect-metadata': '0.2.2',
  rxjs: '7.8.2',
  typescript: '6.0.x',
};
const PM2 = { pm2: '7.0.4' };

const REGISTER = `--import ${PACKAGE_NAME}/register`;
/** The span of a request, as instrumentation-http has it. */
const REQUEST = /^GET/;
const BLOCK_MILLIS = 150;
const TIMEOUT_MILLIS = 60_000;
const BUILD_TIMEOUT_MILLIS = 240_000;

const SETUPS = { bundlers, lambda, nest, next, pm2 };

const node = process.env.TEST_NODE ?? process.execPath;
const startedAt = performance.now();
const temporary = temporaryFolder();
const { tarball } = pack(temporary);
let passed = 0;
let failed = 0;

const chosen = process.argv.slice(2);
for (const name of chosen) if (!(name in SETUPS)) throw new Error(`there is no ${name}, only ${Object.keys(SETUPS)}`);
console.log(`Node.js ${versionOf(node)}`);
for (const [name, run] of Object.entries(SETUPS)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  await check(name, run);
}
await endChildren();
console.log(`\nin ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

/** One file each, in a folder of its own far from any `node_modules`. */
async function bundlers() {
  const app = application('bundlers', BUNDLERS, ['bundle/app.mjs', 'tell.cjs', 'work.cjs']);
  const source = join(app, 'work.cjs');
  const bin = (name) => join(app, 'node_modules/.bin', name);
  const shim = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  writeFileSync(
    join(app, 'webpack.config.cjs'),
    `module.exports = (_, { outputPath }) => ({
      target: 'node', mode: 'production', devtool: 'source-map', entry: './app.mjs',
      output: { path: outputPath, filename: 'app.cjs' }, ignoreWarnings: [/./],
    });`,
  );
  writeFileSync(
    join(app, 'rollup.config.mjs'),
    `import commonjs from '@rollup/plugin-commonjs';
    import json from '@rollup/plugin-json';
    import resolve from '@rollup/plugin-node-resolve';
    export default { input: 'app.mjs', plugins: [resolve({ preferBuiltins: true }), commonjs(), json()], onwarn() {} };`,
  );
  writeFileSync(join(app, 'vite.config.mjs'), 'export default { ssr: { noExternal: true }, logLevel: "error" };');
  const WAYS = {
    'esbuild, CommonJS': (folder) => [
      bin('esbuild'),
      [
        'app.mjs',
        '--bundle',
        '--platform=node',
        '--sourcemap',
        '--minify',
        '--log-level=error',
        `--outfile=${join(folder, 'app.cjs')}`,
      ],
    ],
    'esbuild, ES module': (folder) => [
      bin('esbuild'),
      [
        ...['app.mjs', '--bundle', '--platform=node', '--format=esm', '--sourcemap', '--log-level=error'],
        ...[`--outfile=${join(folder, 'app.mjs')}`, `--banner:js=${shim}`],
      ],
    ],
    webpack: (folder) => [bin('webpack'), ['--config', 'webpack.config.cjs', '--output-path', folder]],
    'rollup, CommonJS': (folder) => [
      bin('rollup'),
      ['-c', 'rollup.config.mjs', '--silent', '--sourcemap', '--format', 'cjs', '--file', join(folder, 'app.cjs')],
    ],
    'rollup, ES module': (folder) => [
      bin('rollup'),
      ['-c', 'rollup.config.mjs', '--silent', '--sourcemap', '--format', 'es', '--file', join(folder, 'app.mjs')],
    ],
    'vite, SSR': (folder) => [bin('vite'), ['build', '--ssr', 'app.mjs', '--sourcemap', '--outDir', folder]],
  };
  for (const [index, [title, way]] of Object.entries(WAYS).entries()) {
    await check(title, async () => {
      const folder = join(temporary, `bundle-${index}`);
      mkdirSync(folder);
      const [command, args] = way(folder);
      runOnce(command, args, app, BUILD_TIMEOUT_MILLIS);
      const bundle = ['app.cjs', 'app.mjs', 'app.js']
        .map((file) => join(folder, file))
        .find((file) => existsSync(file));
      if (bundle === undefined) throw new Error(`${command} ${args.join(' ')} has made no bundle`);
      // Sources below the folder that webpack ran in are looked for in that of the program.
      const said = runOnce(node, [bundle], app, TIMEOUT_MILLIS);
      // Its minifier takes the names of functions, and tells its map of none.
      expectBlock(said, /^guilty$/, source, title === 'webpack' ? /./ : undefined);
      if (!/event loop hangs: .* by "hanging" in /.test(said)) throw new Error(`no hang: ${said}`);
    });
  }
}

async function next() {
  const app = application('next', NEXT, ['work.cjs', 'tell.cjs']);
  cpSync(join(REPOSITORY, 'test/fixtures/setups/next'), app, { recursive: true });
  const cli = join(app, 'node_modules/next/dist/bin/next');
  for (const bundler of ['turbopack', 'webpack']) {
    await check(`Next.js with ${bundler}`, async () => {
      runOnce(node, [cli, 'build', `--${bundler}`], app, BUILD_TIMEOUT_MILLIS);
      // With webpack Next.js writes no source maps of what runs in the server: its span is told, and where it is in the bundle.
      const where = bundler === 'webpack' ? { span: /report/, file: 'route.js', functions: /./ } : { span: /report/ };
      await checkServer([node, cli, 'start'], app, { path: '/report', flag: '--port', ...where });
    });
  }
}

async function nest() {
  const app = application('nest', NEST, ['work.cjs', 'tell.cjs', 'sdk.cjs', 'nest.cts']);
  const options = ['--experimentalDecorators', '--emitDecoratorMetadata', '--target', 'es2022', '--module', 'nodenext'];
  const tsc = join(app, 'node_modules/typescript/bin/tsc');
  // The fixture's own functions have no types; nothing else is wrong with it where it runs.
  runOnce(
    node,
    [tsc, ...options, '--skipLibCheck', '--types', 'node', '--noCheck', 'nest.cts'],
    app,
    BUILD_TIMEOUT_MILLIS,
  );
  await checkServer([node, '--require', './sdk.cjs', ...REGISTER.split(' '), 'nest.cjs'], app, { path: '/report' });
}

async function pm2() {
  const app = application('pm2', PM2, ['work.cjs', 'tell.cjs', 'sdk.cjs', 'server.cjs']);
  const cli = join(app, 'node_modules/pm2/bin/pm2');
  for (const mode of ['fork', 'cluster']) {
    await check(`PM2, ${mode} mode`, async () => {
      const port = await freePort();
      const env = { ...environment(), PM2_HOME: join(temporary, `pm2-${mode}`), PORT: String(port) };
      const log = join(temporary, `pm2-${mode}.log`);
      writeFileSync(
        join(app, 'ecosystem.config.cjs'),
        `module.exports = { apps: [{
          name: 'app', script: './server.cjs', exec_mode: '${mode}', instances: 1, merge_logs: true,
          node_args: '--require ./sdk.cjs ${REGISTER}', out_file: ${JSON.stringify(log)}, error_file: ${JSON.stringify(log)},
        }] };`,
      );
      try {
        runOnce(node, [cli, 'start', 'ecosystem.config.cjs'], app, TIMEOUT_MILLIS, env);
        await untilTold(`http://127.0.0.1:${port}/report`, () => readIfThere(log));
      } finally {
        spawnSync(node, [cli, 'kill'], { cwd: app, env });
      }
    });
  }
}

/** Lambda's runtime interface, with all that matters here: between two invocations the process is stopped. */
async function lambda() {
  const FILES = ['work.cjs', 'tell.cjs', 'handler.mjs', 'lambda.mjs', 'lambda-sdk.mjs'];
  const app = application('lambda', {}, FILES);
  const FROZEN_MILLIS = 3_000;
  const invocations = [0, BLOCK_MILLIS, 0, 0];
  let child;
  const server = createServer(async (message, response) => {
    if (message.method === 'POST') {
      await once(message.resume(), 'end');
      response.end();
      // The next one is asked for, and then the environment is frozen until it comes.
      return;
    }
    const millis = invocations.shift();
    if (invocations.length < 3) {
      child.kill('SIGSTOP');
      await sleep(FROZEN_MILLIS);
      child.kill('SIGCONT');
    }
    if (millis === undefined) response.writeHead(410).end();
    else response.setHeader('lambda-runtime-aws-request-id', 'id').end(JSON.stringify({ millis }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const env = { ...environment(), AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${server.address().port}` };
  child = startChild(node, ['--import', './lambda-sdk.mjs', 'lambda.mjs'], env, app);
  const [code] = await once(child, 'close');
  server.close();
  if (code !== 0) throw new Error(`ended with ${code}\n${child.said}`);
  expectBlock(child.said, /^handle$/, 'work.cjs');
  const frozen = blocksIn(child.said).filter(({ durationMillis }) => durationMillis > FROZEN_MILLIS / 2);
  if (frozen.some(({ cause }) => cause !== 'host'))
    throw new Error(`a frozen environment computes nothing\n${child.said}`);
  if (/hangs/.test(child.said)) throw new Error(`a frozen environment is no hang\n${child.said}`);
}

/** An application in a folder of its own, with `files` of the fixtures beside each other. */
function application(name, dependencies, files) {
  const app = join(temporary, name);
  installApp(app, 2, tarball, node, { dependencies });
  for (const file of files) {
    const target = join(app, file.replace(/^.*\//, ''));
    mkdirSync(dirname(target), { recursive: true });
    cpSync(join(REPOSITORY, 'test/fixtures/setups', file), target);
  }
  return app;
}

function environment() {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('OTEL_'));
  return {
    ...Object.fromEntries(inherited),
    // Else there is no span that records; nobody is there.
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_LOGS_EXPORTER: 'none',
    OTEL_NODE_RESOURCE_DETECTORS: 'none',
    NEXT_TELEMETRY_DISABLED: '1',
    CI: 'true',
  };
}

/** Starts a server, asks it for what blocks, and waits until it has said so. */
async function checkServer([command, ...args], cwd, { path, flag, ...where }) {
  const port = await freePort();
  const env = { ...environment(), PORT: String(port) };
  const child = startChild(command, flag ? [...args, flag, String(port)] : args, env, cwd);
  try {
    await untilTold(`http://127.0.0.1:${port}${path}`, () => child.said, where);
  } finally {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
}

/** Asks until somebody listens. */
async function request(url) {
  let failure;
  const deadline = performance.now() + TIMEOUT_MILLIS;
  while (performance.now() < deadline) {
    try {
      const response = await fetch(url);
      const text = await response.text();
      if (!response.ok) throw new Error(`${response.status} ${text}`);
      return text;
    } catch (error) {
      failure = error;
      await sleep(100);
    }
  }
  throw new Error(`${url}: ${failure.cause ?? failure}`);
}

/** Asks again where the machine has blocked and not the application. */
async function untilTold(url, read, { span = REQUEST, file = 'work.cjs', functions } = {}) {
  const deadline = performance.now() + TIMEOUT_MILLIS;
  do {
    if (performance.now() > deadline) throw new Error(`never came: ${read()}`);
    await request(url);
    await sleep(500);
  } while (!blocksIn(read()).some(isExpected(span, file, functions)));
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

function blocksIn(said) {
  return Array.from(said.matchAll(/block (\{.*\})$/gm), ([, json]) => JSON.parse(json));
}

/** The span, the function, and its file as in the source. */
function isExpected(span, file, functions = /\bbuildReport$/) {
  return ({ names, functionName, filePath }) =>
    names.some((name) => span.test(name)) && functions.test(functionName) && filePath.endsWith(file);
}

function expectBlock(said, span, file, functions) {
  if (!blocksIn(said).some(isExpected(span, file, functions)))
    throw new Error(`no block of ${span} in ${file}: ${said}`);
}

/** What it said on both. */
function runOnce(command, args, cwd, timeout, env = environment()) {
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, { cwd, env, timeout, encoding: 'utf8' });
  const said = `${stdout}${stderr}`;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${error ?? status ?? signal}\n${said}`);
  return said;
}

async function check(title, body) {
  const count = passed + failed;
  try {
    await body();
  } catch (error) {
    failed++;
    console.log(`FAILED  ${title}\n${String(error.message).slice(0, 4_000).replace(/^/gm, '        ')}`);
    return;
  }
  // What consists of others is counted by them.
  if (passed + failed > count) return;
  passed++;
  console.log(`ok      ${title}`);
}
