// SPDX-License-Identifier: Apache-2.0
import { defineConfig, rolldown } from 'rolldown';
import { dts } from 'rolldown-plugin-dts';

/** Doors for the runners of tests, and what they all load in the main realm of their thread. */
const debugDoors = ['vitest', 'jest', 'mocha', 'node-test', 'test', 'core'];
const input = {
  index: 'src/index.ts',
  register: 'src/register.ts',
  debug: 'src/debug.ts',
  ...Object.fromEntries(debugDoors.map((name) => [`debug/${name}`, `src/debug/${name}.ts`])),
};
const external = [/^node:/, /^@opentelemetry\/api$/, 'vitest'];
/** Types are those of the packages themselves. */
const externalTypes = [/^node:/, /^@opentelemetry\//, 'vitest'];

function output(format, extension) {
  return { dir: 'dist', format, entryFileNames: `[name].${extension}`, chunkFileNames: `[name].${extension}` };
}

/** Without comments, which every process would load, most of them twice as wide for an arrow or a dash in them. */
const code = {
  sourcemap: true,
  comments: false,
  banner:
    '/*! With parts of @opentelemetry/instrumentation and @opentelemetry/api-logs, Copyright The OpenTelemetry Authors, SPDX-License-Identifier: Apache-2.0 */',
};

/** Code that runs elsewhere, as one string: a file beside us would be lost in a bundle, and is not there in another container. */
const embedded = {
  'worker-source': { input: 'src/watchdog/worker/main.ts', name: 'WORKER_SOURCE' },
  'look-source': { input: 'src/attach/inside/look.ts', name: 'LOOK_SOURCE' },
  'watch-source': { input: 'src/attach/inside/watch.ts', name: 'WATCH_SOURCE' },
};
const embeddedSources = {
  name: 'embedded-sources',
  resolveId: (id) => {
    const name = /^\..*\/([\w-]+-source)\.js$/.exec(id)?.[1];
    return name in embedded ? `\0${name}` : undefined;
  },
  async load(id) {
    const source = id.startsWith('\0') ? embedded[id.slice(1)] : undefined;
    if (source === undefined) return undefined;
    const bundle = await rolldown({
      input: source.input,
      external: [/^node:/],
      platform: 'node',
      resolve,
      plugins: source.name === 'WORKER_SOURCE' ? [] : [...plugins, anyApi],
    });
    const { output: chunks } = await bundle.generate({
      format: 'cjs',
      strict: true,
      minify: { mangle: false, compress: true },
    });
    return `export const ${source.name} = ${JSON.stringify(chunks[0].code)};`;
  },
};

/**
 * What is sent into a process has its own copy of the API, which has to find what the application has registered with
 * whatever 1.x: each asks for its own version or a later one.
 */
const anyApi = {
  name: 'any-api',
  load: (id) =>
    /@opentelemetry[/\\]api[/\\].*[/\\]version\.js$/.test(id) ? "export const VERSION = '1.0.0';" : undefined,
};

/**
 * The base class of instrumentations goes into the build: as packages it and what it loads are forty files, half of what a
 * small program takes longer to start. It hooks into the loading of modules for those who patch some, which we do not.
 */
const noModuleHooks = {
  name: 'no-module-hooks',
  resolveId: (id) => (/^(?:require|import)-in-the-middle$/.test(id) ? '\0no-module-hooks' : undefined),
  load: (id) => (id === '\0no-module-hooks' ? 'export class Hook {}' : undefined),
};
const plugins = [embeddedSources, noModuleHooks];
// Of a package in both formats the one that what is not used can be left out of.
const resolve = { mainFields: ['module', 'main'] };

export default defineConfig([
  {
    input,
    external,
    plugins,
    resolve,
    platform: 'node',
    output: { ...output('esm', 'mjs'), ...code, cleanDir: true },
  },
  {
    input,
    external,
    plugins,
    resolve,
    platform: 'node',
    output: { ...output('cjs', 'cjs'), ...code, strict: true },
  },
  // A program, which needs nothing beside it.
  {
    input: { attach: 'src/attach/main.ts' },
    external: [/^node:/],
    plugins,
    resolve,
    platform: 'node',
    output: { ...output('cjs', 'cjs'), comments: false, strict: true, banner: `#!/usr/bin/env node\n${code.banner}` },
  },
  { input, external: externalTypes, plugins: [dts({ emitDtsOnly: true })], output: { ...output('esm', 'mts') } },
  { input, external: externalTypes, plugins: [dts({ emitDtsOnly: true })], output: { ...output('esm', 'cts') } },
]);
