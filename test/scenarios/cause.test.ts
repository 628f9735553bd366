// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { causeOf } from '../../src/block/cause.js';
import type { Evidence } from '../../src/model.js';
import { parseStolenTime, stolenBetween } from '../../src/system/stolen-time.js';
import { type FixtureSpan, runScenario, SURROUNDINGS_MILLIS } from '../support/run-fixture.js';

const EVIDENCE: Evidence = {
  durationMillis: 100,
  cpuMillis: 100,
  queuedMillis: 0,
  gcMillis: 0,
  bothLateMillis: 0,
  stolenMillis: 0,
};

describe('causeOf', () => {
  it.each<[Partial<Evidence>, string | undefined]>([
    [{}, 'cpu'],
    [{ cpuMillis: 50 }, 'cpu'],
    [{ cpuMillis: 49, queuedMillis: 2 }, undefined],
    [{ cpuMillis: 50, queuedMillis: 50 }, 'host'],
    [{ cpuMillis: 5 }, 'wait'],
    [{ cpuMillis: 5, bothLateMillis: 90 }, 'host'],
    // A watchdog that was late while this thread was at work proves nothing.
    [{ cpuMillis: 95, bothLateMillis: 90 }, 'cpu'],
    [{ gcMillis: 50 }, 'gc'],
    [{ gcMillis: 30 }, 'cpu'],
    [{ gcMillis: 90, cpuMillis: 10, bothLateMillis: 90 }, 'host'],
    // A collection that has no core takes long; how long it took of its own nobody knows.
    [{ gcMillis: 80, cpuMillis: 60, queuedMillis: 40 }, undefined],
    [{ gcMillis: 80, cpuMillis: 60, stolenMillis: 40 }, undefined],
    [{ gcMillis: 80, cpuMillis: 60, bothLateMillis: 40 }, undefined],
    [{ gcMillis: 80, cpuMillis: 60, bothLateMillis: undefined }, undefined],
    // One that waits for its helpers.
    [{ gcMillis: 80, cpuMillis: 60 }, 'gc'],
    [{ gcMillis: 80, cpuMillis: 95, stolenMillis: 40 }, 'gc'],
    [{ cpuMillis: undefined }, undefined],
    [{ cpuMillis: undefined, gcMillis: 80 }, 'gc'],
    [{ cpuMillis: 5, bothLateMillis: undefined }, undefined],
    [{ cpuMillis: 5, queuedMillis: undefined }, 'wait'],
    // A busy thread looks asleep while the hypervisor has its core.
    [{ cpuMillis: 30, stolenMillis: 30 }, undefined],
    [{ cpuMillis: 30, stolenMillis: 10 }, 'wait'],
    [{ cpuMillis: 30, stolenMillis: 70, bothLateMillis: 60 }, 'host'],
    [{ cpuMillis: 60, stolenMillis: 40 }, 'cpu'],
  ])('%j: %s', (evidence, cause) => {
    expect(causeOf({ ...EVIDENCE, ...evidence })).toBe(cause);
  });
});

describe('stolen time', () => {
  const STAT = `cpu  30 0 3 90 1 0 2 70 0 0
cpu0 10 0 1 40 0 0 1 50 0 0
cpu2 20 0 2 50 1 0 1 20 0 0
intr 5 0 7
`;

  it('is that of each core, by its number', () => {
    expect([...parseStolenTime(STAT)]).toEqual([500, undefined, 200]);
  });

  it('is at most what the two cores lost that lost most', () => {
    expect(stolenBetween([500, 10, 200, 0], [530, 10, 220, 10])).toBe(50);
    expect(stolenBetween([500], [530])).toBe(30);
    // A core that was not in use before may have lost anything, and one that is not any more did not run us.
    expect(stolenBetween([500, 10], [530, 10, 999])).toBe(30);
    expect(stolenBetween(undefined, [530])).toBe(0);
  });
});

interface Piece {
  readonly startTime: number;
  readonly endTime: number;
  readonly isFit: boolean;
  readonly disturbance: number;
  readonly unrest: number;
}

const DISTURBED_MILLIS = 20;

describe('says no wrong cause of ten blocks, and the right one of four at least', () => {
  it.each([
    ['busy loop', 'cpu', []],
    ['execSync', 'wait', []],
    ['Atomics.wait', 'wait', []],
    ['FIFO read', 'wait', []],
    ['allocation storm', 'gc', ['--expose-gc']],
    ['stopped and continued', 'host', []],
    ['starved of its core', 'host', []],
  ])('%s: %s', async (scenario, cause, nodeArgs) => {
    const result = await runScenario('cause.cjs', scenario, { nodeArgs, timeoutMillis: 50_000, isMeasuredOnce: true });
    const pieces = result.output.pieces as Piece[];
    const blocks = pieces.map((piece, i) => blockOf(result.span(`${i}`), piece, result.blockSpans));
    const labels = pieces.map(({ isFit, disturbance }, i) => {
      const label = isFit ? blocks[i]?.attributes['eventloop.block.cause'] : undefined;
      // Where the machine gave us no core meanwhile, "host" is right as well.
      return label === 'host' && disturbance > DISTURBED_MILLIS ? cause : label;
    });
    // No wrong label: none at all is what thin evidence gives.
    expect(labels.filter((label) => label !== undefined && label !== cause)).toEqual([]);
    // What was stolen before may have been stolen in the block: then no label is right as well.
    const isClear = ({ isFit, unrest }: Piece): boolean =>
      isFit && (scenario === 'starved of its core' || unrest <= DISTURBED_MILLIS);
    expect(labels.filter((label) => label === cause).length).toBeGreaterThanOrEqual(
      pieces.filter(isClear).length * 0.4,
    );
    for (const { attributes } of blocks.filter((block) => block !== undefined)) {
      expect(attributes['eventloop.block.cpu_time']).toBeGreaterThanOrEqual(0);
      expect(attributes['eventloop.block.gc_time']).toBeGreaterThanOrEqual(0);
    }
  });
});

it.runIf(process.platform === 'linux')('tells blocks apart that follow one another at once', async () => {
  const result = await runScenario('cause.cjs', 'one behind the other', { isMeasuredOnce: true });
  const pieces = result.output.pieces as { name: string; cpuMillis: number }[];
  expect(pieces).toHaveLength(10);
  for (const { name, cpuMillis } of pieces) {
    const span = result.span(name);
    // Those of the machine too: it does not know the waits.
    const blocks = result.output.spans.filter(({ name }) => name === 'event loop blocked');
    const [block, ...more] = blocks.filter(({ parentSpanId }) => parentSpanId === span.spanId);
    expect(more, name).toEqual([]);
    const told = (block?.attributes['eventloop.block.cpu_time'] as number) * 1000;
    expect(Math.abs(told - cpuMillis), name).toBeLessThan(SURROUNDINGS_MILLIS);
    // Where the machine gives no core, that is the cause, or it is not certain.
    const [other] = ['wait', 'cpu'].filter((kind) => !name.endsWith(kind));
    expect(block?.attributes['eventloop.block.cause'], name).not.toBe(other);
  }
});

/** The block that `piece` made; a busy machine makes others in the same span. */
function blockOf(span: FixtureSpan, piece: Piece, blocks: readonly FixtureSpan[]): FixtureSpan | undefined {
  return blocks.find(
    ({ parentSpanId, startTime, endTime }) =>
      parentSpanId === span.spanId && startTime <= piece.startTime + 10 && endTime >= piece.endTime - 10,
  );
}
