// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { connect } from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import grpc from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { type FixtureSpan, millisOf, type RunOptions, ScenarioResult } from '../support/run-fixture.js';
import { Service } from '../support/service.js';

/** Whoever sends the messages, from this process, which is never blocked. */
interface Sender {
  readonly port: number;
  /** Somebody is there to send to. */
  readonly isReady: Promise<unknown>;
  send(name: string): void;
  close(): void;
}

async function tcpSender(): Promise<Sender> {
  let socket: Socket | undefined;
  let resolve: () => void;
  const isReady = new Promise<void>((done) => (resolve = done));
  const server = createServer((accepted) => {
    socket = accepted;
    resolve();
    accepted.on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    isReady,
    send: (name) => void socket?.write(`${name}\n`),
    close: () => {
      socket?.destroy();
      server.close();
    },
  };
}

async function grpcSender(): Promise<Sender> {
  let call: grpc.ServerWritableStream<Buffer, Buffer> | undefined;
  let resolve: () => void;
  const isReady = new Promise<void>((done) => (resolve = done));
  const same = (bytes: Buffer): Buffer => bytes;
  const method = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  const server = new grpc.Server();
  server.addService(
    { messages: { path: '/test/messages', requestStream: false, responseStream: true, ...method } },
    {
      messages: (started: grpc.ServerWritableStream<Buffer, Buffer>) => {
        call = started;
        resolve();
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return {
    port,
    isReady,
    send: (name) => void call?.write(Buffer.from(name)),
    close: () => server.forceShutdown(),
  };
}

const isStalled = ({ attributes }: FixtureSpan): boolean => attributes['eventloop.stalled'] === true;
const BEHIND = Array.from({ length: 6 }, (_, i) => `behind ${i}`);
const LATER = Array.from({ length: 12 }, (_, i) => `later ${i}`);

/** A message blocks, six arrive meanwhile, and others, each at its time, once it is over. */
async function observe(scenario: string): Promise<ScenarioResult> {
  const options: RunOptions = { args: [scenario], timeoutMillis: 30_000 };
  const isServer = scenario.startsWith('HTTP/2');
  const sender = isServer ? undefined : await (scenario.startsWith('gRPC') ? grpcSender() : tcpSender());
  const service = await Service.start('messages.cjs', { ...options, env: { PORT: `${sender?.port}` } });
  let send = sender?.send;
  let close = sender?.close;
  let line = 1;
  try {
    if (isServer) {
      const { port } = await service.line(line++);
      const session = connect(`http://127.0.0.1:${port}`);
      send = (name) => void session.request({ ':path': `/${encodeURIComponent(name)}` }).resume();
      close = () => session.destroy();
    }
    await sender?.isReady;
    send?.('warm 1');
    await sleep(100);
    send?.('warm 2');
    await service.line(line++);
    send?.('blocker');
    await service.line(line++);
    await sleep(100);
    for (const name of BEHIND) send?.(name);
    await service.line(line++);
    await sleep(80);
    for (const name of LATER) {
      send?.(name);
      await sleep(20);
    }
    const { stdout } = await service.ended;
    return new ScenarioResult(JSON.parse(stdout.trim().split('\n').at(-1) as string));
  } finally {
    close?.();
    await service.kill();
  }
}

const names = (spans: readonly FixtureSpan[]): string[] => spans.map(({ name }) => name).sort();

function expectStalled(scenario: string, result: ScenarioResult): void {
  expect(result.blamedNames).toEqual(['blocker']);
  const block = result.blockSpans.find(({ parentSpanId }) => parentSpanId === result.span('blocker').spanId);
  const stalled = result.appSpans.filter((span) => isStalled(span) && span.links.includes(block?.spanId ?? ''));
  // Where the machine made another block, on a loop that never waits in poll, nobody can tell which of them it was.
  const isOnlyBlock = result.blockSpans.length + result.blocksOfTheMachine.length === 1;
  const found = names(isOnlyBlock ? stalled : stalled.filter(({ name }) => BEHIND.includes(name)));
  // Behind timers that a machine without a core makes late nobody can tell any more that they had come before.
  const isHeldUp = scenario.includes('timer') && result.heldUpMillis >= 10;
  expect(found).toEqual(isHeldUp ? BEHIND.filter((name) => found.includes(name)) : BEHIND);
  for (const span of stalled) {
    expect(span.links).toHaveLength(span.attributes['eventloop.stall.count'] as number);
    expect(span.attributes['eventloop.stall.upper_bound']).toBe(true);
    const measured = result.measured('blocker');
    expect(millisOf(span, 'eventloop.stall.duration')).toBeGreaterThan(measured - result.tolerance(measured));
  }
  expect(result.output.diagLines).toEqual([]);
}

describe('messages that came during a block are found', () => {
  it.each([
    'gRPC data, immediate, roots',
    'gRPC for await, immediate, roots',
    'gRPC data, timer, roots',
    'gRPC data, two timers, roots',
    'TCP data, at once, roots',
    'TCP for await, immediate, roots',
    'HTTP/2 server, immediate, roots',
    'HTTP/2 server, timer, roots',
    'gRPC data, at once, children',
    'TCP for await, immediate, children',
  ])('%s', async (scenario) => expectStalled(scenario, await observe(scenario)));
});

describe('what came later, on a loop that never waits in poll, is not', () => {
  it.each([
    'TCP data, at once, roots, saturated',
    'gRPC data, immediate, roots, saturated',
    'HTTP/2 server, immediate, roots, saturated',
  ])('%s', async (scenario) => expectStalled(scenario, await observe(scenario)));
});
