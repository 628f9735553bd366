// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import {
  durationOf,
  expectDuration,
  millisOf,
  NODE_MAJOR,
  runScenario,
  type ScenarioResult,
} from '../support/run-fixture.js';

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
    // An answer takes more than 2 ms where the thread has to wait for a core as well.
    if (accuracy && result.withheldIn('handler') < 2) expect(seen).toBe(accuracy);
    // A watchdog that had no core for most of it looks behind the call, where the handler does run.
    if (functionName === 'handler' && result.withheldFromHelpersIn('handler') < 50) expect(seen).toBe('after');
    // A look that had to wait for a core is certain of nothing but the caller, or of the caller's.
    const named =
      result.withheldIn('handler') < 2 ? [functionName] : [functionName, 'sorting', 'handler', '<anonymous>'];
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

describe("attribution: 'sampled'", () => {
  it('names the same spans without a hook, and accuses none of a shared block', async () => {
    const result = await run('sampled');
    // One of twelve may have had no core for so long that it did block.
    const blamedNames = result.blamedNames.filter((name) => !name.startsWith('small') || result.measured(name) < 30);
    expect(blamedNames).toEqual(['blocks 200', 'blocks 400', 'blocks 600', 'ends inside']);
    const ofOne = result.blockSpans.filter((block) =>
      blamedNames.some((name) => block.parentSpanId === result.span(name).spanId),
    );
    expect(ofOne.map((block) => block.attributes['eventloop.block.shared'])).toEqual([false, false, false, false]);
    const functions: unknown[] = [];
    for (const name of blamedNames) {
      const label = name.replace('blocks ', '');
      const measured = result.measured(label);
      // As everywhere, and what the watchdog's own thread had no core for.
      const allowed = result.busyBeside(label, 15) + result.tolerance(measured) + result.withheldIn(label);
      const duration = millisOf(result.span(name), 'eventloop.block.duration');
      // One look in ten milliseconds: 10 ms at either end may be somebody else's. Less where looks come late, for nobody
      // is charged with what nobody has seen.
      expect(duration).toBeLessThan(measured + 20 + allowed);
      expect(duration).toBeGreaterThanOrEqual(50);
      const block = result.blockSpans.find((span) => span.parentSpanId === result.span(name).spanId);
      // The iteration began anywhere between two beats.
      expect(Math.abs(durationOf(block as never) - measured)).toBeLessThan(12 + allowed);
      functions.push(block?.attributes['code.function.name']);
    }
    // The last look may come late, where a machine is busy, and find another iteration: then nothing is named.
    expect(new Set(functions.filter((name) => name !== undefined))).toEqual(new Set(['block']));
    expect(functions.filter((name) => name === 'block').length).toBeGreaterThanOrEqual(3);
    expect(result.blockSpans.at(-1)?.parentSpanId).toBeUndefined();
    expect(result.appSpans.some((span) => 'eventloop.time' in span.attributes)).toBe(false);
    expect(result.output.diagLines).toEqual([]);
  });
});
