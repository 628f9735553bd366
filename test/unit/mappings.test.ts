// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { transform } from 'esbuild';
import { afterAll, describe, expect, it } from 'vitest';
import { originalsAt, type RawMap } from '../../src/watchdog/worker/mappings.js';
import { hasMap, resolveFrames } from '../../src/watchdog/worker/source-maps.js';

const folder = mkdtempSync(join(tmpdir(), 'event-loop-maps-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SOURCE = `export function buildReport(rows: number): number {
  let sum = 0;
  for (let row = 0; row < rows; row++) sum += Math.sqrt(row);
  return sum;
}
export const callsIt = (rows: number): number => buildReport(rows) + 1;
`;

async function minified(): Promise<{ code: string; map: RawMap }> {
  const { code, map } = await transform(SOURCE, {
    loader: 'ts',
    minify: true,
    format: 'iife',
    sourcemap: true,
    sourcefile: 'report.ts',
  });
  return { code: code.replace(/\/\/# source.*\n/, ''), map: JSON.parse(map) };
}

describe('a position', () => {
  it('comes from where Node.js finds it as well', async () => {
    const { code, map } = await minified();
    const nodes = new SourceMap({ ...map, version: 3, file: '' } as never);
    const positions = [...code].map((_, column) => ({ line: 0, column }));
    for (const [column, original] of originalsAt(map, positions).entries()) {
      const entry = nodes.findEntry(0, column) as { originalLine?: number; originalColumn?: number };
      expect([original?.line, original?.column]).toEqual([entry.originalLine, entry.originalColumn]);
    }
  });

  it('is looked up in the section of an index map that it is in', async () => {
    const { code, map } = await minified();
    const other = { version: 3, sources: ['other.ts'], names: [], mappings: 'AAAA' };
    const index = {
      sections: [
        { offset: { line: 0, column: 0 }, map: other },
        { offset: { line: 3, column: 7 }, map },
      ],
    };
    const at = code.indexOf('Math');
    const [first, second] = originalsAt(index, [
      { line: 2, column: 0 },
      { line: 3, column: 7 + at },
    ]);
    expect(first).toBeUndefined();
    expect(second).toMatchObject({ source: 'report.ts', line: 2, column: SOURCE.split('\n')[2]?.indexOf('Math') });
  });
});

describe('a frame', () => {
  const place = (code: string, text: string): { lineNumber: number; columnNumber: number } => ({
    lineNumber: 1,
    columnNumber: code.indexOf(text) + 1,
  });

  it.each([
    ['webpack://app/./src/report.ts', resolve('src/report.ts')],
    ['webpack://app/./src/report.ts?1a2b', resolve('src/report.ts')],
    ['webpack:///./src/report.ts', resolve('src/report.ts')],
    ['turbopack:///[project]/src/report.ts', resolve('src/report.ts')],
    ['../src/report.ts', join(folder, '../src/report.ts')],
    ['file:///srv/app/src/report.ts', '/srv/app/src/report.ts'],
  ])('of a minified chunk whose map says %s', async (source, filePath) => {
    const { code, map } = await minified();
    const file = join(folder, `${encodeURIComponent(source)}.js`);
    writeFileSync(file, `${code}//# sourceMappingURL=${encodeURIComponent(encodeURIComponent(source))}.js.map`);
    writeFileSync(`${file}.map`, JSON.stringify({ ...map, sources: [source] }));
    const name = /function (\w+)\(/.exec(code)?.[1] as string;
    expect(name.length).toBeLessThan(3);
    const [frame] = resolveFrames([
      {
        text: `${name} (${file}:1:${code.indexOf('Math') + 1})`,
        functionName: name,
        filePath: file,
        ...place(code, 'Math'),
        startLine: 1,
        startColumn: code.indexOf(`function ${name}`) + 1,
      },
    ]);
    const columnNumber = (SOURCE.split('\n')[2]?.indexOf('Math') as number) + 1;
    const text = `buildReport (${filePath}:3:${columnNumber})`;
    expect(frame).toEqual({ text, functionName: 'buildReport', filePath, lineNumber: 3, columnNumber });
  });

  it('is found by a map beside its file, or in it, and stays as it is without', async () => {
    const { code, map } = await minified();
    const inline = Buffer.from(JSON.stringify({ ...map, sourcesContent: [SOURCE.repeat(50)] })).toString('base64');
    const files = {
      beside: code,
      inside: `${code}//# sourceMappingURL=data:application/json;base64,${inline}\n`,
      none: code,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, `${name}.js`), text);
    writeFileSync(join(folder, 'beside.js.map'), JSON.stringify(map));
    const frames = Object.keys(files).map((name) => ({
      text: '',
      functionName: 'x',
      filePath: join(folder, `${name}.js`),
      ...place(code, 'Math'),
    }));
    expect(frames.map(({ filePath }) => hasMap(filePath))).toEqual([true, true, false]);
    const resolved = resolveFrames(frames);
    expect(resolved.map(({ lineNumber }) => lineNumber)).toEqual([3, 3, 1]);
    expect(resolved[2]).toBe(frames[2]);
  });

  it('says which module it loads where that is written down', () => {
    const file = join(folder, 'requires.js');
    writeFileSync(file, 'const a = require("typescript");\nconst b = await import(\'./b.js\');\nrequire(name);\n');
    const at = (lineNumber: number, columnNumber: number): string | undefined =>
      resolveFrames([{ text: '', functionName: 'f', filePath: file, lineNumber, columnNumber, loadedModule: '' }])[0]
        ?.loadedModule;
    expect([at(1, 11), at(2, 11), at(3, 1)]).toEqual(['typescript', './b.js', '']);
  });
});
