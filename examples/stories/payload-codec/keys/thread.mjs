// SPDX-License-Identifier: Apache-2.0
import { Piscina } from 'piscina';

const threads = new Piscina({
  filename: new URL('../../support/sync-fetch-task.mjs', import.meta.url).href,
  minThreads: 1,
  maxThreads: 8,
  execArgv: [],
});
process.once('disconnect', () => threads.destroy());

/** The same synchronous client, in threads where nobody else waits for it. */
export function fetchKey(url) {
  return threads.run(url);
}
