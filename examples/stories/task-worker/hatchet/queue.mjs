// SPDX-License-Identifier: Apache-2.0
import { HatchetClient } from '@hatchet-dev/typescript-sdk/v1/index.js';

const SILENT = Object.fromEntries(['debug', 'info', 'green', 'warn', 'error', 'util'].map((name) => [name, () => {}]));

/** A real Hatchet, from the side of those who give it tasks. */
export function openQueue(env) {
  const config = {
    token: env.HATCHET_CLIENT_TOKEN,
    host_port: env.HATCHET_CLIENT_HOST_PORT,
    api_url: env.HATCHET_CLIENT_API_URL,
    tls_config: { tls_strategy: env.HATCHET_CLIENT_TLS_STRATEGY },
    // What it would say is that it listens in vain once the engine is gone.
    logger: () => SILENT,
  };
  const hatchet = HatchetClient.init(config);
  let results = [];
  return {
    async add(name) {
      const run = await hatchet.runNoWait(name, { dueAt: Date.now() }, {});
      results.push(run.output);
    },
    async allDone() {
      await Promise.all(results);
      results = [];
    },
    close() {},
  };
}
