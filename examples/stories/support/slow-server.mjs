// SPDX-License-Identifier: Apache-2.0
// Somebody else's service, in a process of its own, which answers after `MILLIS`.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const server = createServer(async (request, response) => {
  await sleep(Number(process.env.MILLIS));
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ path: request.url, at: Date.now() }));
});
server.listen(0, '127.0.0.1', () => process.send({ url: `http://127.0.0.1:${server.address().port}` }));
process.once('disconnect', () => process.exit());
