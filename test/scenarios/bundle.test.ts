// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as semconv from '../../src/semconv.js';
import { Collector } from '../support/collector.js';

const SOURCE = join(import.meta.dirname, '../fixtures/bundled.ts');
const lines = readFileSync(SOURCE, 'utf8').split('\n');
const folder = mkdtempSync(join(tmpdir(), 'event-loop-bundle-'));
const collector = new Collector();

beforeAll(() => collector.start());
afterAll(async () => {
  await collector.close();
  rmSync(folder, { recursive: true });
});

// Far from any node_modules: neither the worker nor an exporter could be loaded from a file of their own.
describe.each(['cjs', 'esm'] as const)('bundled by esbuild as %s', (format) => {
  const file = join(folder, format === 'esm' ? 'app.mjs' : 'app.cjs');
  const run = promisify(execFile);

  beforeAll(async () => {
    const shim = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
    await build({
      entryPoints: [SOURCE],
      outfile: file,
      bundle: true,
      platform: 'node',
      target: 'node20',
      format,
      sourcemap: true,
      minify: true,
      logLevel: 'error',
      // What the OpenTelemetry packages need in an ESM bundle.
      ...(format === 'esm' && { banner: { js: shim } }),
    });
  });

  it.each([
    ['as Node.js is by default', []],
    ['with --enable-source-maps', ['--enable-source-maps']],
  ])('sees the stack in its source %s, and reports a hang', async (_, nodeArgs) => {
    collector.spans.length = 0;
    const { stdout, stderr } = await run(process.execPath, [
      ...nodeArgs,
      file,
      JSON.stringify({ collector: collector.url }),
    ]);
    // The shorter of the two takes 200 ms; what is shorter is the machine's.
    const blocks = (JSON.parse(stdout) as Record<string, unknown>[]).filter(
      (block) => ((block['eventloop.block.span_durations'] as number[])[0] as number) >= 0.2,
    );
    expect(blocks.length).toBe(2);
    const hangs = collector.spans.filter(({ name }) => name === semconv.SPAN_HANG);
    expect(hangs.length).toBeGreaterThan(0);
    for (const attributes of [...blocks, ...hangs.map((span) => span.attributes)]) {
      expect(attributes['code.function.name']).toBe('blocksInTypeScript');
      // Where the machine is busy, an answer may take so long that it says "after".
      expect(attributes['eventloop.block.stack_accuracy']).toMatch(/^(?:during|after)$/);
      expect(attributes['code.file.path']).toBe(SOURCE);
      expect(lines[(attributes['code.line.number'] as number) - 1]).toMatch(/performance\.now\(\)/);
    }
    expect(stderr).toMatch(/^opentelemetry-instrumentation-event-loop: event loop hangs: .* in blocksInTypeScript \(/);
  });
});

it.each([
  [false, 'theApplication'],
  // That of the API, which nothing tells from the application's there.
  [true, 'with'],
])('our own code in a bundle is not taken for the application, minified: %s', async (minify, expected) => {
  const outfile = join(folder, `look-${minify}.cjs`);
  const entry = join(import.meta.dirname, '../fixtures/bundled-look.ts');
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    minify,
    keepNames: minify,
    logLevel: 'error',
  });
  const { stdout } = await promisify(execFile)(process.execPath, [outfile]);
  expect(JSON.parse(stdout)).toEqual([expected]);
});
