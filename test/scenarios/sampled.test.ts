// SPDX-License-Identifier: Apache-2.0
// Where most of production is: of a hundred requests the traces of ninety-nine are not sampled. Each block is named all the same.
import { describe, expect, it } from 'vitest';
import { type FixtureLog, runScenario } from '../support/run-fixture.js';

const REQUESTS = 100;
const SERVER = 1;
/** What native code between callbacks takes, at most, by itself. */
const NATIVE_MILLIS = 5;
/** Times on the wall clock come from readings of whole milliseconds, on both sides. */
const WALL_CLOCK_MILLIS = 3;

const SAMPLERS = [
  ['TraceIdRatioBased(0)', { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' }, 0],
  ['TraceIdRatioBased(0.01)', { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.01' }, 50],
  [
    'ParentBased, over a remote parent that is not sampled',
    { OTEL_TRACES_SAMPLER: 'parentbased_always_on', REMOTE_PARENT: '1' },
    0,
  ],
] as const;

describe.concurrent.each(SAMPLERS)('with %s', (_title, env, mostSampled) => {
  it('each of a hundred blocks is named with its route, in the log event and in the metric', async () => {
    // Measured once, whatever else the machine does meanwhile: it says who, and no length.
    const result = await runScenario('sampled.cjs', 'service', { env, isMeasuredOnce: true });
    const { logs, blocks, spans, metrics } = result.output;
    const routes = result.output.routes as string[];
    expect(blocks.map(({ label }) => label)).toEqual(Array.from({ length: REQUESTS }, (_, i) => `${i}`));
    const sampled = new Set(spans.filter(({ kind }) => kind === SERVER).map(({ traceId }) => traceId));
    expect(sampled.size).toBeLessThanOrEqual(mostSampled);

    const events = logs.filter(({ eventName }) => eventName === 'eventloop.block');
    for (const [i, piece] of blocks.entries()) {
      const own = i % 3 === 0 ? `GET ${routes[i]}` : 'build report';
      const around = events.filter((each) => covers(each, middleOf(piece)));
      // Where the machine holds it up, what was before it in the same iteration can be a block as well.
      const event = around.find((each) => namesIn(each).includes(own));
      expect(event, `of block ${i}, by ${around.map(({ body }) => body)}`).toBeDefined();
      const { attributes, body, traceId = '' } = event as FixtureLog;
      if (attributes['eventloop.entry.name'] === undefined) {
        // Nobody's: the machine has taken the core between two callbacks, for longer than the block.
        const durations = attributes['eventloop.block.span_durations'] as number[];
        const nobodys = (durations[namesIn(event as FixtureLog).indexOf('(no span)')] as number) * 1e3;
        expect(nobodys).toBeLessThan(result.heldUpMillis + NATIVE_MILLIS);
        continue;
      }
      // There as well: the next request may come in the same iteration.
      const inside = blocks.flatMap((piece, n) => (covers(event as FixtureLog, middleOf(piece)) ? [n] : []));
      const path = attributes['url.path'] ?? `/reports/${i}`;
      expect(inside.map((n) => `/reports/${n}`)).toContain(path);
      const route = routes[Number((path as string).slice('/reports/'.length))];
      expect(attributes, `of block ${i}`).toMatchObject({
        'http.route': route,
        'eventloop.entry.name': `GET ${route}`,
        'eventloop.entry.kind': 'server',
      });
      if (inside.length > 1) continue;
      expect(body).toContain(`GET ${routes[i]}`);
      if (sampled.has(traceId)) continue;
      expect(attributes).toMatchObject({ 'http.request.method': 'GET', 'url.path': `/reports/${i}` });
      // The request itself may be blamed as well; what runs in it, where nothing has, never.
      expect(i % 3 === 0 ? ['server'] : ['internal', 'server']).toContain(attributes['eventloop.block.span_kind']);
    }

    for (const name of ['eventloop.block.duration', 'eventloop.block.time']) {
      const points = metrics[name]?.points ?? [];
      for (const route of new Set(routes)) {
        const own = events.filter(({ attributes }) => attributes['http.route'] === route);
        const values = points.filter(({ attributes }) => attributes['http.route'] === route).map(({ value }) => value);
        expect(values.length, `${name} of ${route}`).toBeGreaterThan(0);
        const seconds = values.reduce<number>((sum, value) => sum + (typeof value === 'number' ? value : value.sum), 0);
        expect(seconds).toBeCloseTo(
          own.reduce((sum, event) => sum + secondsOf(event), 0),
          4,
        );
        const counts = values.flatMap((value) => (typeof value === 'number' ? [] : value.count));
        if (counts.length > 0) expect(counts.reduce((sum, count) => sum + count)).toBe(own.length);
      }
    }
  });
});

it('names the first span of a program, which starts in the same tick as the SDK', async () => {
  const { logs } = (
    await runScenario('sampled.cjs', 'the first span of a program', { env: { OTEL_TRACES_SAMPLER: 'always_off' } })
  ).output;
  const event = logs.find((log) => log.eventName === 'eventloop.block' && namesIn(log).includes('job'));
  expect(event?.attributes['eventloop.block.span_kind']).toBe('internal');
  expect(event?.body).toContain('"job"');
});

function middleOf({ startTime, endTime }: { startTime: number; endTime: number }): number {
  return (startTime + endTime) / 2;
}

function namesIn({ attributes }: FixtureLog): string[] {
  return attributes['eventloop.block.span_names'] as string[];
}

function secondsOf({ attributes }: FixtureLog): number {
  return attributes['eventloop.block.duration'] as number;
}

function covers(event: FixtureLog, time: number): boolean {
  const startTime = event.time - secondsOf(event) * 1e3;
  return time >= startTime - WALL_CLOCK_MILLIS && time <= event.time + WALL_CLOCK_MILLIS;
}
