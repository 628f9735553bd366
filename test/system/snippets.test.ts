// SPDX-License-Identifier: Apache-2.0
// The snippets of the pages, as a reader would copy them: they compile against the package's own types, and run.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { lineOf } from '../support/fences.mjs';
import { PAGES, REPOSITORY } from '../support/markdown.js';

const INSTALLED_LINE = '2';
const PACKAGE = 'opentelemetry-instrumentation-event-loop';
/** What a reader has who follows the advice of TypeScript's own `tsc --init`. */
const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: ['node'],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  verbatimModuleSyntax: true,
  allowJs: true,
  checkJs: true,
  skipLibCheck: true,
  noEmit: true,
};

const snippets = PAGES.flatMap(({ path, fences }) =>
  fences
    .filter(({ language }) => ['ts', 'js'].includes(language))
    // The other line is not installed here: `npm run test:package` compiles them all against both.
    .filter((fence) => (lineOf(fence) ?? INSTALLED_LINE) === INSTALLED_LINE)
    .map(({ language, info, code, line }) => {
      const isCommonJs = /\brequire\(/.test(code);
      const extension = language === 'ts' ? 'ts' : isCommonJs ? 'cjs' : 'mjs';
      return {
        title: `${path}:${line}`,
        info,
        code,
        isCommonJs,
        file: join(REPOSITORY, `${path}.${line}.${extension}`),
      };
    }),
);

it('finds the snippets', () => {
  expect(snippets.length).toBeGreaterThan(8);
  // What a reader cannot run says why: "```ts not run: needs a PostgreSQL".
  for (const { title, info } of snippets) expect(info, title).toMatch(/^$|^not run: \S|^OpenTelemetry 2\.x$/);
});

describe('compiles', () => {
  const codes = new Map(snippets.map(({ file, code }) => [file, code]));
  const host = ts.createCompilerHost(OPTIONS);
  const { fileExists, readFile } = host;
  host.fileExists = (file) => codes.has(file) || fileExists(file);
  host.readFile = (file) => codes.get(file) ?? readFile(file);
  host.getCurrentDirectory = () => REPOSITORY;
  const program = ts.createProgram([...codes.keys()], OPTIONS, host);

  it.each(snippets)('$title', ({ file }) => {
    const source = program.getSourceFile(file);
    expect(source?.text).toBe(codes.get(file));
    const faults = ts.getPreEmitDiagnostics(program, source);
    expect(faults.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([]);
  });
});

/** Blocks the loop under a span of the application's, and tells who was blamed: a busy machine blocks as well. */
const blockAndTell = (expected: string) => `
;(async () => {
  const { subscribe } = await import('node:diagnostics_channel');
  const { trace } = await import('@opentelemetry/api');
  const blamed = [];
  subscribe('${PACKAGE}:block', (block) => blamed.push(...block.blamed.map(({ name }) => name)));
  // The start of the program is over with the first iteration that runs a callback; what that one does still belongs to it.
  for (let i = 0; i < 2; i++) await new Promise((resolve) => setTimeout(resolve, 25));
  const deadline = performance.now() + 20_000;
  // Once more where the machine had no core for the watchdog meanwhile.
  while (!blamed.includes('${expected}') && performance.now() < deadline) {
    trace.getTracer('docs').startActiveSpan('GET /report', (span) => {
      const until = performance.now() + 150;
      while (performance.now() < until);
      span.end();
    });
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  console.log('blamed: ' + JSON.stringify(blamed));
})();
`;

describe.concurrent('runs, and sees a block', () => {
  const runnable = snippets.filter(({ info }) => !info.startsWith('not run'));

  it.for(runnable)('$title', async ({ code, isCommonJs, file }, { expect }) => {
    const { outputText } = ts.transpileModule(code, {
      fileName: file,
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
    });
    const expected = /sdk-(node|trace-node)'/.test(code) ? 'GET /report' : '(no span)';
    // What is no set-up by itself is tried in an application that has one.
    const isSetup = code.includes('new EventLoopInstrumentation(');
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [
        ...(isSetup ? [] : ['--import', `${PACKAGE}/register`]),
        `--input-type=${isCommonJs ? 'commonjs' : 'module'}`,
        '--eval',
        outputText + blockAndTell(expected),
      ],
      { cwd: REPOSITORY, timeout: 60_000, env: { ...process.env, ...CONSOLE } },
    );
    expect(stderr).toBe('');
    const blamed = JSON.parse(/^blamed: (.+)$/m.exec(stdout)?.[1] ?? '[]') as string[];
    expect(blamed).toContain(expected);
    // What it prints it has printed.
    if (code.includes('console.log')) expect(stdout).toMatch(/^blocked for [\d.]+ ms in /m);
  });
});

const CONSOLE = {
  OTEL_TRACES_EXPORTER: 'console',
  OTEL_METRICS_EXPORTER: 'none',
  OTEL_LOGS_EXPORTER: 'none',
  OTEL_NODE_RESOURCE_DETECTORS: 'none',
  // A machine that is busy enough makes a program hang by itself, and that is told on stderr.
  OTEL_EVENT_LOOP_HANG_THRESHOLD_MILLIS: '0',
};
