// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { causeOf, type Evidence } from '../src/block/cause.js';
import { runScenario } from './support/run-fixture.js';

const EVIDENCE: Evidence = { durationMillis: 100, cpuMillis: 100, queuedMillis: 0, gcMillis: 0, bothLateMillis: 0 };

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
    [{ cpuMillis: undefined }, undefined],
    [{ cpuMillis: undefined, gcMillis: 80 }, 'gc'],
    [{ cpuMillis: 5, bothLateMillis: undefined }, undefined],
    [{ cpuMillis: 5, queuedMillis: undefined }, 'wait'],
  ])('%j: %s', (evidence, cause) => {
    expect(causeOf({ ...EVIDENCE, ...evidence })).toBe(cause);
  });
});

describe('tells why the loop was blocked, twenty times out of twenty', () => {
  it.each([
    ['busy loop', 'cpu', []],
    ['execSync', 'wait', []],
    ['Atomics.wait', 'wait', []],
    ['allocation storm', 'gc', ['--expose-gc']],
    ['stopped and continued', 'host', []],
    ['starved of its core', 'host', []],
  ])('%s: %s', async (scenario, cause, nodeArgs) => {
    const result = await runScenario('cause.cjs', scenario, { nodeArgs, timeoutMillis: 50_000 });
    const disturbances = result.output.disturbances as number[];
    const isDisturbed = (name: string): boolean => cause !== 'host' && (disturbances[Number(name)] as number) > 20;
    const judged = new Set(result.appSpans.filter(({ name }) => !isDisturbed(name)).map(({ spanId }) => spanId));
    const inSpans = result.blockSpans.filter(
      ({ parentSpanId }) => parentSpanId !== undefined && judged.has(parentSpanId),
    );
    expect(inSpans.length).toBeGreaterThanOrEqual(5);
    const causes = inSpans.map(({ attributes }) => attributes['eventloop.block.cause']);
    // No wrong label: none at all is what thin evidence gives.
    expect(new Set(causes.filter((label) => label !== undefined))).toEqual(new Set([cause]));
    expect(causes.filter((label) => label === cause).length).toBeGreaterThanOrEqual(inSpans.length * 0.8);
    for (const { attributes } of inSpans) {
      expect(attributes['eventloop.block.cpu_time']).toBeGreaterThanOrEqual(0);
      expect(attributes['eventloop.block.gc_time']).toBeGreaterThanOrEqual(0);
    }
  });
});
