// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from 'vitest';
import { expectDuration, NODE_MAJOR, runScenario, type ScenarioResult } from '../support/run-fixture.js';

const MODES: [mode: string, nodeArgs: string[]][] = [['as Node.js is', []]];
if (NODE_MAJOR >= 24) MODES.push(['without AsyncContextFrame', ['--no-async-context-frame']]);

const SENT = [
  'channel of fork',
  'output of a child',
  'worker',
  'datagrams',
  'TLS over a socket',
  'last question',
  'last input of a child',
  'compression',
  'HTTP/2 session',
];
const UNASKED = ['watched file', 'queue for a worker', 'output of a worker', 'signal', 'server'];

const isBetween = (time: number, from: number, to: number): boolean => from < time && time < to;

describe.each(MODES)('a handle that one request makes and another uses, %s', (_, nodeArgs) => {
  let result: ScenarioResult;
  beforeAll(async () => {
    result = await runScenario('handles.cjs', 'all', { nodeArgs });
  }, 60_000);

  /** What ran under `label`, block by block, and how much of each block is `name`'s. */
  function sharesOf(name: string, label: string): { share: number; measured: number }[] {
    const pieces = result.output.blocks.filter((piece) => piece.label === label);
    let found = 0;
    const shares = result.blockSpans.flatMap(({ startTime, endTime, attributes }) => {
      const inside = pieces.filter((piece) => isBetween((piece.startTime + piece.endTime) / 2, startTime, endTime));
      if (inside.length === 0) return [];
      found += inside.length;
      const names = attributes['eventloop.block.span_names'] as string[];
      const durations = attributes['eventloop.block.span_durations'] as number[];
      const share = (durations[names.indexOf(name)] ?? 0) * 1000;
      return { share, measured: inside.reduce((sum, { millis }) => sum + millis, 0) };
    });
    expect(found).toBe(pieces.length);
    expect(found).toBeGreaterThan(0);
    return shares;
  }

  /** What ran under `label` is `name`'s time in the blocks in which it ran, whatever else the machine made a block of. */
  function expectTimeOf(name: string, label: string): void {
    for (const { share, measured } of sharesOf(name, label)) expectDuration(result, share, measured);
  }

  it.each(SENT)('%s: is the time of who sent last', (kind) => {
    expectTimeOf(`${kind}: user`, `${kind}: read`);
  });

  it.each(UNASKED)('%s: is nobody’s, where nobody can tell who asked', (kind) => {
    expectTimeOf('(no span)', `${kind}: read`);
  });

  it.each([...SENT, ...UNASKED])('%s: accuses no maker, also where nobody has seen it begin', (kind) => {
    // Who makes a handle takes some time as well, perhaps in the same iteration.
    for (const { share, measured } of sharesOf(`${kind}: maker`, `${kind}: read`)) {
      expect(share).toBeLessThan(measured / 2);
    }
  });

  it.each(['own child', 'own worker', 'own compression', 'bound on its own connection'])(
    '%s: is its maker’s',
    (kind) => {
      expectTimeOf(`${kind}: maker`, `${kind}: maker`);
    },
  );

  it('entered context: is believed as long as it is active, in the callback of whatever handle', () => {
    for (const who of ['maker', 'user']) expectTimeOf(`entered context: ${who}`, `entered context: ${who}`);
  });
});
