// SPDX-License-Identifier: Apache-2.0
import { AsyncResource } from 'node:async_hooks';
import { createServer, type Server, Socket } from 'node:net';
import { MessageChannel } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { CONNECTION, callbackKindOf, SHARED, useKindOf } from '../../src/hooks/handle-kinds.js';
import { StartUp } from '../../src/recorder/start-up.js';
import { classNameOf, readOff } from '../../src/system/foreign.js';

/** Objects of the application's that resist. */
const HOSTILE: object[] = [
  Object.create(null),
  new Proxy(
    {},
    {
      get: () => {
        throw new Error('mine');
      },
      getPrototypeOf: () => {
        throw new Error('mine');
      },
    },
  ),
  {
    get constructor() {
      throw new Error('mine');
    },
  },
  { constructor: null },
  { constructor: { name: 1 } },
] as object[];

const handleOf = (owner: Socket | Server): object => (owner as unknown as { _handle: object })._handle;

it('knows the handles of this Node.js for what they are', async () => {
  const server = createServer().listen(0);
  const { port } = server.address() as { port: number };
  const socket = new Socket().connect(port);
  await new Promise((resolve) => socket.once('connect', resolve));
  const { port1 } = new MessageChannel();
  const known = [handleOf(server), handleOf(socket), port1].map((handle) => [
    callbackKindOf(handle),
    useKindOf(Object.getPrototypeOf(handle) as object),
  ]);
  expect(known).toEqual([
    ['accept', CONNECTION],
    ['connection', CONNECTION],
    ['other', SHARED],
  ]);
  socket.destroy();
  server.close();
  port1.close();
});

it('knows nothing of anything else', () => {
  expect(callbackKindOf(new AsyncResource('of the application'))).toBe('nested');
  expect(callbackKindOf({ pendingHandle: {} })).toBe('handover');
  for (const resource of [{}, new Map(), ...HOSTILE]) {
    expect(callbackKindOf(resource)).toBe('other');
    expect(useKindOf(resource)).toBeUndefined();
  }
});

it('reads off foreign objects without a throw', () => {
  expect(HOSTILE.map(classNameOf)).toEqual(['', '', '', '', '']);
  expect(classNameOf(new Map())).toBe('Map');
  expect(readOff(undefined as unknown as { a: number }, ({ a }) => a, 7)).toBe(7);
  for (const resource of HOSTILE) {
    const startUp = new StartUp();
    startUp.see(resource);
    expect(startUp.isOver).toBe(true);
  }
});
