// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { expectDuration, millisOf, NODE_MAJOR, runScenario, type ScenarioResult } from '../support/run-fixture.js';

const run = (name: string, nodeArgs: string[] = []): Promise<ScenarioResult> =>
  runScenario('watchdog.cjs', name, { nodeArgs });

/** Kind of block, the function that must be named, and whether it can always be seen while it blocks. */
const KINDS: [kind: string, functionName: string, accuracy?: 'during'][] = [
  ['busy loop', 'busyLoop', 'during'],
  ['regular expression', 'badRegExp', 'during'],
  ['sort comparator', 'comparator', 'during'],
  ['deep recursion', 'recursion', 'during'],
  ['microtasks', 'nextMicrotask', 'during'],
  ['ticks', 'nextTick', 'during'],
  ['Atomics.wait', 'atomicsWait', 'during'],
  ['pbkdf2Sync', 'deriveKey'],
  ['execSync', 'runCommand'],
  ['readFileSync of a FIFO', 'readFifo'],
  ['gzipSync', 'zip'],
  // V8 serves no interrupt in it, nor where it returns: only its caller's caller is certain, and named with "after".
  ['JSON.parse', 'handler'],
  ['JSON.stringify', 'stringify', 'during'],
  ['node:sqlite', 'handler'],
  ['require of a heavy module', '<anonymous>', 'during'],
];

describe('names the span and the function of a block of 300 ms', () => {
  const possible = KINDS.filter(([kind]) => kind !== 'node:sqlite' || NODE_MAJOR >= 22);
  it.each(possible)('%s', async (kind, functionName, accuracy) => {
    const result = await run(kind, kind === 'node:sqlite' ? ['--disable-warning=ExperimentalWarning'] : []);
    expect(result.blamedNames).toEqual(['handler']);
    const handler = result.span('handler');
    expectDuration(result, millisOf(handler, 'eventloop.block.duration'), 'handler');
    const block = result.blockSpans.find((span) => span.parentSpanId === handler.spanId);
    const attributes = block?.attributes ?? {};
    const seen = attributes['eventloop.block.stack_accuracy'];
    // A watchdog without a core comes too late to see what it is asked for.
    if (seen === undefined && result.withheldFromHelpersIn('handler') > 20) return;
    expect(seen === 'during' || seen === 'after').toBe(true);
    const isPrompt = result.areLooksPrompt('handler');
    if (accuracy && isPrompt) expect(seen).toBe(accuracy);
    // A watchdog that had no core for most of it looks behind the call, where the handler does run.
    if (functionName === 'handler' && result.withheldFromHelpersIn('handler') < 50) expect(seen).toBe('after');
    // A look that had to wait for a core is certain of nothing but the caller, or of the caller's.
    const named = isPrompt ? [functionName] : [functionName, 'sorting', 'handler', '<anonymous>'];
    expect(named).toContain(attributes['code.function.name']);
    expect(attributes['code.file.path']).toMatch(kind.startsWith('require') ? /heavy-module\.cjs$/ : /watchdog\.cjs$/);
    expect(attributes['code.line.number']).toBeGreaterThan(0);
    expect(attributes['code.column.number']).toBeGreaterThan(0);
    const [first = '', ...rest] = String(attributes['code.stacktrace']).split('\n');
    expect(first).toMatch(`${attributes['code.file.path']}:${attributes['code.line.number']}:`);
    const hasCallers = !['microtasks', 'ticks', 'JSON.parse', 'node:sqlite'].includes(kind);
    if (hasCallers && attributes['code.function.name'] === functionName) expect(rest.join()).toMatch(/ handler /);
    expect(result.output.diagLines).toEqual([]);
  });
});

describe("attribution: 'on-demand'", () => {
  it('names the same spans and functions, and singles out none of a shared block', async () => {
    const result = await run('on demand');
    // Of twelve that made one block together, the one with the largest share; it may be nobody's, and two blocks by the machine.
    const small = result.blamedNames.filter((name) => name.startsWith('small'));
    const sharedBlocks = result.blockSpans.filter((span) => span.attributes['eventloop.block.shared'] === true);
    expect(small.length).toBeLessThanOrEqual(sharedBlocks.length);
    for (const name of small.filter((name) => result.measured(name) < 30)) {
      const block = result.blockSpans.find((span) => span.parentSpanId === result.span(name).spanId);
      expect(block?.attributes['eventloop.block.shared']).toBe(true);
    }
    const blamedNames = result.blamedNames.filter((name) => !small.includes(name));
    expect(blamedNames).toEqual(['blocks 200', 'blocks 400', 'blocks 600', 'ends inside']);
    for (const name of blamedNames) {
      const label = name.replace('blocks ', '');
      expectDuration(result, millisOf(result.span(name), 'eventloop.block.duration'), label, 5);
      const block = result.blockSpans.find((span) => span.parentSpanId === result.span(name).spanId);
      expect(block?.attributes['eventloop.block.shared']).toBe(false);
      expect(block?.attributes['code.function.name']).toBe('block');
    }
    expect(result.blockSpans.at(-1)?.parentSpanId).toBeUndefined();
    expect(result.appSpans.some((span) => 'eventloop.time' in span.attributes)).toBe(false);
    // Off while nothing is late, on once for each block at the most, and off again.
    const { following } = result.output as unknown as { following: { before: object; after: { ons: number } } };
    expect(following.before).toMatchObject({ isOn: false });
    expect(following.after).toMatchObject({ isOn: false, offs: following.after.ons });
    expect(result.output.diagLines).toEqual([]);
  });
});
