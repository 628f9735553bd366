// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { millisOf, ScenarioResult } from '../support/run-fixture.js';
import { Service } from '../support/service.js';

const WAITING = ['new 1', 'new 2', 'new 3', 'new 4'];
const LATER = ['later 1', 'later 2', 'later 3'];

it('marks the new connections that the primary of a cluster hands over behind a block', async () => {
  const service = await Service.start('cluster-stalled.cjs', { timeoutMillis: 40_000 });
  const ask = async (path: string): Promise<void> => {
    const [response] = await once(get(await service.url(path), { agent: false }), 'response');
    response.resume();
    await once(response, 'end');
  };
  try {
    for (let i = 0; i < 10; i++) await ask('/?name=warm');
    await ask('/forget');
    await sleep(200);
    const blocked = ask('/block?millis=400&name=blocker');
    await service.line(1);
    await sleep(100);
    await Promise.all([blocked, ...WAITING.map((name) => ask(`/?name=${encodeURIComponent(name)}`))]);
    await sleep(50);
    for (const name of LATER) await ask(`/?name=${encodeURIComponent(name)}`);
    service.child.kill('SIGUSR2');
    const { stdout } = await service.ended;
    const result = new ScenarioResult(JSON.parse(stdout.trim().split('\n').at(-1) as string));

    expect(result.blamedNames).toEqual(['blocker']);
    const block = result.blockSpans.find(({ parentSpanId }) => parentSpanId === result.span('blocker').spanId);
    const stalled = result.appSpans.filter(({ attributes }) => attributes['eventloop.stalled'] === true);
    // In the order of their arrival, as far as the primary hands them over at once: where it has no core, the worker polls
    // in vain meanwhile, and who comes then need not have waited. None that came later, in any case.
    expect(stalled.length).toBeGreaterThan(0);
    expect(stalled.map(({ name }) => name).sort()).toEqual(WAITING.slice(0, stalled.length));
    for (const span of stalled) {
      expect(span.links).toEqual([block?.spanId]);
      expect(span.attributes['eventloop.stall.upper_bound']).toBe(true);
      const measured = result.measured('blocker');
      expect(millisOf(span, 'eventloop.stall.duration')).toBeGreaterThan(measured - result.tolerance(measured));
    }
    expect(result.output.diagLines).toEqual([]);
  } finally {
    await service.kill();
  }
});
