// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from 'vitest';
import { expectDuration, NODE_MAJOR, runScenario, type ScenarioResult } from '../support/run-fixture.js';

const MODES: [mode: string, nodeArgs: string[]][] = [['as Node.js is', []]];
if (NODE_MAJOR >= 24) MODES.push(['without AsyncContextFrame', ['--no-async-context-frame']]);

const isBetween = (time: number, from: number, to: number): boolean => from < time && time < to;

describe.each(MODES)('a handle that one request makes and another uses, %s', (_, nodeArgs) => {
  let result: ScenarioResult;
  beforeAll(async () => {
    result = await runScenario('handles.cjs', 'all', { nodeArgs });
  }, 60_000);

  /** What ran under `label` is `name`'s time in the blocks in which it ran, whatever else the machine made a block of. */
  function expectTimeOf(name: string, label: string): void {
    const pieces = result.output.blocks.filter((piece) => piece.label === label);
    let found = 0;
    for (const { startTime, endTime, attributes } of result.blockSpans) {
      const inside = pieces.filter((piece) => isBetween((piece.startTime + piece.endTime) / 2, startTime, endTime));
      if (inside.length === 0) continue;
      found += inside.length;
      const names = attributes['eventloop.block.span_names'] as string[];
      const durations = attributes['eventloop.block.span_durations'] as number[];
      const share = (durations[names.indexOf(name)] ?? 0) * 1000;
      expectDuration(
        result,
        share,
        inside.reduce((sum, { millis }) => sum + millis, 0),
      );
    }
    expect(found).toBe(pieces.length);
  }

  it.each(['channel of fork', 'output of a child', 'worker', 'datagrams', 'TLS over a socket', 'HTTP/2 session'])(
    '%s: is the time of who sent last',
    (kind) => {
      expectTimeOf(`${kind}: user`, `${kind}: read`);
    },
  );

  it.each(['watched file', 'queue for a worker'])('%s: is nobody’s, where nobody can tell who asked', (kind) => {
    expectTimeOf('(no span)', `${kind}: read`);
  });

  it.each(['own child', 'own worker', 'bound on its own connection'])('%s: is its maker’s', (kind) => {
    expectTimeOf(`${kind}: maker`, `${kind}: maker`);
  });

  it('entered context: is believed as long as it is active, in the callback of whatever handle', () => {
    for (const who of ['maker', 'user']) expectTimeOf(`entered context: ${who}`, `entered context: ${who}`);
  });
});
