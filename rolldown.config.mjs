// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'rolldown';
import { dts } from 'rolldown-plugin-dts';

const input = { index: 'src/index.ts' };
const external = [/^node:/, /^@opentelemetry\//];

function output(format, extension) {
  return { dir: 'dist', format, entryFileNames: `[name].${extension}` };
}

export default defineConfig([
  { input, external, platform: 'node', output: { ...output('esm', 'mjs'), sourcemap: true, cleanDir: true } },
  { input, external, platform: 'node', output: { ...output('cjs', 'cjs'), sourcemap: true } },
  { input, external, plugins: [dts({ emitDtsOnly: true })], output: { ...output('esm', 'mts') } },
  { input, external, plugins: [dts({ emitDtsOnly: true })], output: { ...output('esm', 'cts') } },
]);
