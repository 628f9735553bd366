// SPDX-License-Identifier: Apache-2.0
// What clients do to the service: steady traffic on one route, and now and then a call of another one.
import { setTimeout as sleep } from 'node:timers/promises';
import autocannon from 'autocannon';

const CONNECTIONS = 8;
const REQUESTS_PER_SECOND = 120;
const STEADY = { route: 'GET /users/:id', paths: ['/users/1', '/users/2', '/users/3'] };
const OCCASIONAL = ['/report', '/invoice', '/import', '/thumbnail'];
const PAUSE_MILLIS = 400;

/** Runs for so many seconds; resolves to the steady traffic's latencies in milliseconds, as its clients saw them. */
export async function runLoad(url, seconds) {
  const steady = autocannon({
    url,
    connections: CONNECTIONS,
    overallRate: REQUESTS_PER_SECOND,
    duration: seconds,
    requests: STEADY.paths.map((path) => ({ path })),
  });
  const [result, failures] = await Promise.all([steady, callNowAndThen(url, Date.now() + seconds * 1000)]);
  return {
    route: STEADY.route,
    p50: result.latency.p50,
    p99: result.latency.p99,
    max: result.latency.max,
    failures: result.errors + result.non2xx + failures,
  };
}

/** Resolves to how many calls failed. */
async function callNowAndThen(url, until) {
  let failures = 0;
  await sleep(PAUSE_MILLIS);
  for (let i = 0; Date.now() < until; i++) {
    const response = await fetch(url + OCCASIONAL[i % OCCASIONAL.length]).catch(() => undefined);
    if (!response?.ok) failures++;
    await response?.arrayBuffer();
    await sleep(PAUSE_MILLIS);
  }
  return failures;
}
