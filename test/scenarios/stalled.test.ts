// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FixtureSpan, millisOf, ScenarioResult } from '../support/run-fixture.js';
import { Service } from '../support/service.js';

/** Answers each question after as many milliseconds as it says, from this process, which is never blocked. */
const database = createServer((socket) => {
  socket.on('data', (text) => setTimeout(() => socket.write('row\n'), Number(text)));
  socket.on('error', () => {});
});
let service: Service;
let agent: Agent;

beforeAll(() => once(database.listen(0, '127.0.0.1'), 'listening'));
afterAll(() => database.close());

/** Starts a service, does `requests` once it is warm, and says what came out since. */
async function observe(requests: () => Promise<unknown>): Promise<ScenarioResult> {
  const env = { DATABASE_PORT: `${(database.address() as AddressInfo).port}` };
  service = await Service.start('stalled.cjs', { env, timeoutMillis: 40_000 });
  agent = new Agent({ keepAlive: true });
  try {
    // One by one, as code that runs for the first time may block as well.
    for (let i = 0; i < 10; i++) {
      await ask('/query?millis=1');
      await ask('/quick', { newConnection: true });
    }
    await ask('/forget');
    await requests();
    service.child.kill('SIGUSR2');
    const { stdout } = await service.ended;
    return new ScenarioResult(JSON.parse(stdout.trim().split('\n').at(-1) as string));
  } finally {
    agent.destroy();
    await service.kill();
  }
}

/** Asks and says how long the answer took, by this process's own clock. */
async function ask(path: string, options: { newConnection?: boolean } = {}): Promise<number> {
  const url = await service.url(path);
  const startedAt = performance.now();
  const request = get(url, { agent: options.newConnection ? false : agent });
  const [response] = await once(request, 'response');
  response.resume();
  await once(response, 'end');
  return performance.now() - startedAt;
}

const isStalled = ({ attributes }: FixtureSpan): boolean => attributes['eventloop.stalled'] === true;

it('marks those who really waited for one of ten, and not who waited for the database', async () => {
  const latencies = new Map<string, Promise<number>>();
  const send = (name: string, path: string, options = {}): void => {
    latencies.set(name, ask(`${path}${path.includes('?') ? '&' : '?'}name=${name}`, options));
  };
  const { blamedNames, blockSpans, appSpans, output } = await observe(async () => {
    for (const name of ['slow 1', 'slow 2', 'slow 3']) send(name, '/query?millis=700');
    // Its answer comes in the midst of the block.
    for (const name of ['in flight 1', 'in flight 2']) send(name, '/query?millis=250');
    await sleep(50);
    send('blocker', '/block?millis=300');
    await sleep(100);
    for (const name of ['kept alive 1', 'kept alive 2']) send(name, '/quick');
    for (const name of ['new 1', 'new 2']) send(name, '/quick', { newConnection: true });
    await Promise.all(latencies.values());
  });

  expect(blamedNames).toEqual(['blocker']);
  const [block] = blockSpans as [FixtureSpan];
  const measured = output.blocks.find(({ label }) => label === '/block')?.startTime ?? 0;
  expect(Math.abs(block.startTime - measured)).toBeLessThan(60);
  const stalled = appSpans.filter(isStalled);
  const waited = ['in flight 1', 'in flight 2', 'kept alive 1', 'kept alive 2', 'new 1', 'new 2'];
  const traces = new Set(waited.map((name) => appSpans.find((span) => span.name === name)?.traceId));
  expect(
    stalled
      .map(({ name }) => name)
      .filter((name) => name !== 'query')
      .sort(),
  ).toEqual(waited);
  // The query's span was in flight as well.
  expect(stalled.filter(({ name }) => name === 'query').every(({ traceId }) => traces.has(traceId))).toBe(true);
  for (const span of stalled) {
    expect(span.links).toEqual([block.spanId]);
    expect(span.attributes['eventloop.stall.count']).toBe(1);
    const stallMillis = millisOf(span, 'eventloop.stall.duration');
    expect(stallMillis).toBeGreaterThan(300 - 2);
    // What ran before it behind the block comes on top.
    expect(stallMillis).toBeLessThan(300 + 100);
    const isNew = /kept alive|new/.test(span.name);
    expect(span.attributes['eventloop.stall.upper_bound']).toBe(isNew ? true : undefined);
    if (!isNew) continue;
    // Sent in the midst of the block, it had the rest of it to wait.
    const latency = (await latencies.get(span.name)) as number;
    expect(latency).toBeGreaterThan(100);
    expect(latency).toBeLessThan(stallMillis + 50);
  }
  expect(output.diagLines).toEqual([]);
});

it('counts each of several blocks in a row that somebody waited for, and links to all', async () => {
  const scenario = await observe(async () => {
    const blockers = ['first', 'second', 'third'].map((name) => ask(`/block?millis=120&name=${name}`));
    await sleep(60);
    await ask('/quick?name=victim', { newConnection: true });
    await Promise.all(blockers);
  });

  const victim = scenario.span('victim');
  const own = scenario.blockSpans.filter(({ parentSpanId }) =>
    ['first', 'second', 'third'].some((name) => scenario.span(name).spanId === parentSpanId),
  );
  expect(victim.attributes['eventloop.stall.count']).toBe(own.length);
  expect([...victim.links].sort()).toEqual(own.map(({ spanId }) => spanId).sort());
  const total = scenario.measured('/block');
  expect(millisOf(victim, 'eventloop.stall.duration')).toBeGreaterThan(total - scenario.tolerance(total));
  // The later blockers had waited themselves, each for those before.
  expect(scenario.blamedNames).toEqual(['first', 'second', 'third']);
});

describe('nobody is stalled', () => {
  it('who is the blamed span, or belongs to its request', async () => {
    const { appSpans, blamedNames } = await observe(() => ask('/child?millis=200&name=blocker'));
    expect(blamedNames).toEqual(['blocker']);
    expect(appSpans.filter(({ name }) => name === 'after')).toHaveLength(3);
    expect(appSpans.filter(isStalled)).toEqual([]);
  });

  it('without a block', async () => {
    const result = await observe(() =>
      Promise.all(Array.from({ length: 10 }, (_, i) => ask(`/block?millis=1&name=${i}`))),
    );
    expect(result.blocksOfOwnMaking).toEqual([]);
    expect(result.appSpans.length).toBeGreaterThanOrEqual(10);
    // Where the machine stood still, they waited for that.
    if (!result.hasBlocksOfTheMachine) expect(result.appSpans.filter(isStalled)).toEqual([]);
  });
});
