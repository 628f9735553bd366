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
const external = [/^node:/, /^@opentelemetry\//, 'vitest'];

function output(format, extension) {
  return { dir: 'dist', format, entryFileNames: `[name].${extension}`, chunkFileNames: `[name].${extension}` };
}

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
      // Of a package in both formats the one that what is not used can be left out of.
      resolve: { mainFields: ['module', 'main'] },
    });
    const { output: chunks } = await bundle.generate({
      format: 'cjs',
      strict: true,
      minify: { mangle: false, compress: true },
    });
    return `export const WORKER_SOURCE = ${JSON.stringify(chunks[0].code)};`;
  },
};
const plugins = [workerSource];

export default defineConfig([
  { input, external, plugins, platform: 'node', output: { ...output('esm', 'mjs'), sourcemap: true, cleanDir: true } },
  { input, external, plugins, platform: 'node', output: { ...output('cjs', 'cjs'), sourcemap: true, strict: true } },
  { input, external, plugins: [dts({ emitDtsOnly: true })], output: { ...output('esm', 'mts') } },
  { input, external, plugins: [dts({ emitDtsOnly: true })], output: { ...output('esm', 'cts') } },
]);
