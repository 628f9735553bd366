// SPDX-License-Identifier: Apache-2.0
// Who asks service.cjs, in a process of its own: now and then, on kept and on new connections, while it is told to; and at
// once what it is told to ask.
import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const PAUSE_MILLIS = 25;
/** Of the requests in the background, those on a connection of their own. */
const NEW_CONNECTIONS = 0.2;

const port = Number(process.argv[2]);
const kept = new Agent({ keepAlive: true });
let isBusy = false;

function ask(path, agent) {
  get({ host: '127.0.0.1', port, path, agent }, (response) => response.resume()).on('error', () => {});
}

process.on('message', ({ path, background }) => {
  if (path !== undefined) ask(path, kept);
  if (background !== undefined) isBusy = background;
});
process.on('disconnect', () => process.exit());

for (;;) {
  await sleep(Math.random() * 2 * PAUSE_MILLIS);
  if (isBusy) ask('/background', Math.random() < NEW_CONNECTIONS ? false : kept);
}
