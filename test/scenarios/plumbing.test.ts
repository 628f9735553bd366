// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runFixture } from '../support/run-fixture.js';

const lines = readFileSync(join(import.meta.dirname, '../fixtures/plumbing.cjs'), 'utf8').split('\n');

/** Line of the fixture. */
function lineOf(comment: string): number {
  return lines.findIndex((text) => text.endsWith(`// ${comment} here`)) + 1;
}

/** Of the longest block; what else blocks is the machine's, and shorter. */
async function paragraph(scenario: string): Promise<string> {
  const { stderr, code } = await runFixture('plumbing.cjs', {
    args: [scenario],
    nodeArgs: ['--require', 'opentelemetry-instrumentation-event-loop/debug'],
    env: { OTEL_EVENT_LOOP_HANG_THRESHOLD_MILLIS: '0', OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '80' },
  });
  expect(code).toBe(0);
  const blocks = stderr.matchAll(/^event loop blocked for (\d+) ms.*\n(?: {2}.*\n)*/gm);
  return [...blocks].sort((a, b) => Number(b[1]) - Number(a[1]))[0]?.[0] ?? '';
}

async function culprit(scenario: string): Promise<string | undefined> {
  return /^ {2}> (.*?)(?:, or earlier in this function)?$/m.exec(await paragraph(scenario))?.[1];
}

describe.concurrent('in an application with require-in-the-middle', () => {
  it.each([
    ['lazyTypeScript', 'typescript', 'typescript'],
    ['lazyLibrary', 'slow-library', 'slow-library/index.js'],
  ])('%s: a module is named, and who requires it', async (scenario, comment, module) => {
    const where = `plumbing\\.cjs:${lineOf(`${comment} is required`)}:3`;
    expect(await culprit(scenario)).toMatch(new RegExp(`^loading module "${module}" \\(required in ${where}\\)$`));
  });

  it('a file of JSON is found where it is required, and its name where that is written down', async () => {
    const where = `plumbing\\.cjs:${lineOf('big.json is required')}:16`;
    expect(await culprit('lazyJson')).toMatch(new RegExp(`^loading a module \\(required in ${where}\\)$`));
  });

  it('a context manager passes the blame on', async () => {
    const where = `plumbing\\.cjs:${lineOf('contexts are made active')}:\\d+`;
    expect(await culprit('throughContexts')).toMatch(new RegExp(`^throughContexts \\(${where}\\)$`));
  });
});

it('leaves out none of the functions of the application, however deep in a library it blocks', async () => {
  const lines = (await paragraph('deepLibrary')).split('\n');
  const own = (name: string, comment: string) =>
    new RegExp(`^ {4}${name} \\(plumbing\\.cjs:${lineOf(comment)}:\\d+\\)$`);
  expect(lines[1]).toMatch(/^ {2}> walk \(.*walker\.js:\d+:\d+\)/);
  expect(lines[3]).toMatch(own('buildTree', 'the tree is walked'));
  expect(lines[4]).toMatch(own('deepLibrary|Timeout\\.deepLibrary', 'the tree is built'));
});
