// SPDX-License-Identifier: Apache-2.0
// Clients of the services: what they saw, in milliseconds.
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Sends one request over a connection of its own. Resolves to what came of it; `status` is 0 where no answer came within
 * `limitMillis`, or the connection broke.
 */
export function send(url, { method = 'GET', body, headers = {}, limitMillis = 120_000 } = {}) {
  const startedAt = performance.now();
  const json = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve) => {
    const done = (status, text = '') => resolve({ status, text, millis: performance.now() - startedAt });
    const outgoing = request(url, {
      method,
      agent: false,
      headers: {
        ...headers,
        ...(json && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) }),
      },
      signal: AbortSignal.timeout(limitMillis),
    });
    outgoing.on('error', (error) => done(0, String(error)));
    outgoing.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
      response.on('end', () => done(response.statusCode, text));
      response.on('error', (error) => done(0, String(error)));
    });
    outgoing.end(json);
  });
}

/** One request every so often, whatever became of the last, until told to stop; `stop()` resolves to all that came of them. */
export function steadily(everyMillis, sendOne) {
  const sent = [];
  const stopping = new AbortController();
  const sending = (async () => {
    const startedAt = performance.now();
    for (let n = 0; !stopping.signal.aborted; n++) {
      sent.push(sendOne(n));
      // On a schedule, so that a late one is no reason for fewer.
      await sleep(Math.max(0, startedAt + (n + 1) * everyMillis - performance.now()));
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await sending;
      return Promise.all(sent);
    },
  };
}
