// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type ClientRequest, get } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectDuration, type FixtureSpan, millisOf, ScenarioResult } from '../support/run-fixture.js';
import { Service, waitFor } from '../support/service.js';

/** Sockets of those who have asked, by what they asked for; they are answered from here, which is never blocked. */
const asked = new Map<string, Socket[]>();
const database = createServer((socket) => {
  socket.on('error', () => {});
  socket.on('data', (text) => {
    const name = `${text}`.trim();
    if (name === 'at once') socket.write('row\n');
    else asked.set(name, [...(asked.get(name) ?? []), socket]);
  });
});
const folder = mkdtempSync(join(tmpdir(), 'event-loop-stalled-'));
let service: Service;
let agent: Agent;

beforeAll(() => once(database.listen(0, '127.0.0.1'), 'listening'));
afterAll(() => {
  database.close();
  rmSync(folder, { recursive: true });
});

/** Starts a service, does `requests` once it is warm, and says what came out since. */
async function observe(requests: () => Promise<unknown>): Promise<ScenarioResult> {
  const env = { DATABASE_PORT: `${(database.address() as AddressInfo).port}` };
  service = await Service.start('stalled.cjs', { env, timeoutMillis: 40_000 });
  agent = new Agent({ keepAlive: true });
  try {
    // One by one, as code that runs for the first time may block as well.
    for (let i = 0; i < 10; i++) {
      await ask('/query?answer=at once').answered;
      await ask('/quick', { newConnection: true }).answered;
    }
    await ask('/forget').answered;
    await requests();
    service.child.kill('SIGUSR2');
    const { stdout } = await service.ended;
    return new ScenarioResult(JSON.parse(stdout.trim().split('\n').at(-1) as string));
  } finally {
    agent.destroy();
    await service.kill();
  }
}

interface Asking {
  /** It has left for the kernel, where it waits. */
  readonly sent: Promise<unknown>;
  readonly answered: Promise<unknown>;
}

function ask(path: string, options: { newConnection?: boolean } = {}): Asking {
  const request = get(encodeURI(service.url(path)), { agent: options.newConnection ? false : agent });
  const answered = once(request, 'response').then(([response]) => once(response.resume(), 'end'));
  return { sent: once(request, 'finish').then(() => connected(request)), answered };
}

/** Until then, it is at nobody's door. */
async function connected({ socket }: ClientRequest): Promise<void> {
  if (socket?.connecting) await once(socket, 'connect');
}

/** Waits until a query for each of them has come, and answers. */
async function answer(name: string, queries: number): Promise<void> {
  await waitFor(() => (asked.get(name)?.length === queries ? true : undefined));
  for (const socket of asked.get(name) ?? []) socket.write('row\n');
  asked.delete(name);
}

const isStalled = ({ attributes }: FixtureSpan): boolean => attributes['eventloop.stalled'] === true;

it('marks those who really waited for one of ten, and not who waited for the database', async () => {
  const file = join(folder, 'first');
  const result = await observe(async () => {
    const send = (name: string, path: string, options = {}): Asking =>
      ask(`${path}${path.includes('?') ? '&' : '?'}name=${name}`, options);
    const slow = ['slow 1', 'slow 2', 'slow 3'].map((name) => send(name, '/query?answer=slow'));
    const inFlight = ['in flight 1', 'in flight 2'].map((name) => send(name, '/query?answer=in flight'));
    await waitFor(() => (asked.get('slow')?.length === 3 && asked.get('in flight')?.length === 2 ? true : undefined));
    const blocker = send('blocker', `/block?millis=300&file=${file}`);
    await service.line(1);
    // All that comes now comes in the midst of the block.
    await answer('in flight', 2);
    const waiting = [
      ...['kept alive 1', 'kept alive 2'].map((name) => send(name, '/quick')),
      ...['new 1', 'new 2'].map((name) => send(name, '/quick', { newConnection: true })),
    ];
    await Promise.all(waiting.map(({ sent }) => sent));
    writeFileSync(file, '');
    await Promise.all([blocker, ...inFlight, ...waiting].map(({ answered }) => answered));
    await ask('/quick').answered;
    await answer('slow', 3);
    await Promise.all(slow.map(({ answered }) => answered));
  });

  const { blamedNames, blockSpans, appSpans, output } = result;
  expect(blamedNames).toEqual(['blocker']);
  const [block] = blockSpans as [FixtureSpan];
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
    // What ran before it behind the block comes on top.
    expectDuration(result, millisOf(span, 'eventloop.stall.duration'), '/block', 100);
    expect(span.attributes['eventloop.stall.upper_bound']).toBe(/kept alive|new/.test(span.name) ? true : undefined);
  }
  expect(output.diagLines).toEqual([]);
});

it('counts each of several blocks in a row that somebody waited for, and links to all', async () => {
  const file = join(folder, 'second');
  const scenario = await observe(async () => {
    const send = (name: string): Asking => ask(`/block?millis=120&name=${name}&file=${file}`);
    const first = send('first');
    await service.line(1);
    const others = [send('second'), send('third'), ask('/quick?name=victim', { newConnection: true })];
    await Promise.all(others.map(({ sent }) => sent));
    writeFileSync(file, '');
    await Promise.all([first, ...others].map(({ answered }) => answered));
  });

  const victim = scenario.span('victim');
  const own = scenario.blockSpans.filter(({ parentSpanId }) =>
    ['first', 'second', 'third'].some((name) => scenario.span(name).spanId === parentSpanId),
  );
  expect(victim.attributes['eventloop.stall.count']).toBe(own.length);
  expect([...victim.links].sort()).toEqual(own.map(({ spanId }) => spanId).sort());
  expectDuration(scenario, millisOf(victim, 'eventloop.stall.duration'), '/block', 100);
  // The later blockers had waited themselves, each for those before.
  expect([...scenario.blamedNames].sort()).toEqual(['first', 'second', 'third']);
});

describe('nobody is stalled', () => {
  it('who is the blamed span, or belongs to its request', async () => {
    const { appSpans, blamedNames } = await observe(() => ask('/child?name=blocker').answered);
    expect(blamedNames).toEqual(['blocker']);
    expect(appSpans.filter(({ name }) => name === 'after')).toHaveLength(3);
    expect(appSpans.filter(isStalled)).toEqual([]);
  });

  it('without a block', async () => {
    const result = await observe(() =>
      Promise.all(Array.from({ length: 10 }, (_, i) => ask(`/short?name=${i}`).answered)),
    );
    expect(result.blockSpans).toEqual([]);
    expect(result.appSpans.length).toBeGreaterThanOrEqual(10);
    // Where the machine stood still, they waited for that, and for nothing else.
    const ids = result.blocksOfTheMachine.map(({ spanId }) => spanId);
    expect(result.appSpans.filter(isStalled).filter(({ links }) => !links.every((id) => ids.includes(id)))).toEqual([]);
  });
});
