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

/** The watchdog's worker as one string: a file beside us would be lost in a bundle. */
const workerSource = {
  name: 'watchdog-worker',
  resolveId: (id) => (id.endsWith('/worker-source.js') ? '\0worker-source' : undefined),
  async load(id) {
    if (id !== '\0worker-source') return undefined;
    const bundle = await rolldown({
      input: 'src/watchdog/worker/main.ts',
      external: [/^node:/],
      platform: 'node',
      resolve,
    });
    const { output: chunks } = await bundle.generate({
      format: 'cjs',
      strict: true,
      minify: { mangle: false, compress: true },
    });
    return `export const WORKER_SOURCE = ${JSON.stringify(chunks[0].code)};`;
  },
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
const plugins = [workerSource, noModuleHooks];
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
  { input, external: externalTypes, plugins: [dts({ emitDtsOnly: true })], output: { ...output('esm', 'mts') } },
  { input, external: externalTypes, plugins: [dts({ emitDtsOnly: true })], output: { ...output('esm', 'cts') } },
]);
