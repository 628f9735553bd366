// SPDX-License-Identifier: Apache-2.0
// `npm run bench:many-spans`: CPU of a request with some 24,000 spans (a GraphQL query, one for each field), in which nothing
// blocks: OpenTelemetry alone against OpenTelemetry and this package. The libraries are installed into .matrix/apps.
//   MODES=otel,on-demand,exact   see server.mjs
//   PROCESSES=6 ROUNDS=20 REQUESTS=2
//   TEST_NODE=…   Node.js binaries, with commas between them
import { join } from 'node:path';
import { installForBenchmarks } from './app.mjs';
import { requireAttributions } from './attribution.mjs';
import { ask, load, NODES, start, versionOf } from './hello.mjs';
import { compare, settings } from './rounds.mjs';

const modes = (process.env.MODES ?? 'otel,on-demand,exact').split(',');
requireAttributions(modes);

const app = installForBenchmarks();
for (const node of NODES) {
  const options = {
    script: join(app, 'benchmarks/many-spans/server.mjs'),
    node,
    // One at a time: several would make long iterations together.
    request: { connections: 1, timeout: 60 },
  };
  await compare({
    title: `Node.js ${versionOf(node)}, ${await countSpans(options)} spans a request`,
    modes,
    start: (mode) => start(mode, options),
    ...settings({ rounds: 20, requests: 2, warmUp: 20 }),
    targets: { 'on-demand': 1.02 },
  });
}

async function countSpans(options) {
  const server = await start('otel', options);
  await load(server, 1);
  const { spans } = await ask(server);
  server.child.disconnect();
  return spans;
}
