// SPDX-License-Identifier: Apache-2.0
// `npm run bench`: CPU per request of a hello-world server, OpenTelemetry alone against OpenTelemetry and this package.
//   MODES=otel,on-demand,exact   see server.mjs and lean.mjs; the first is what the others are held against, as in
//                                MODES=exact@../before,exact@../after
//   PROCESSES=6 ROUNDS=60 REQUESTS=500
//   CYCLES=100    and once more, after so many blocks in each process
//   HEAP=steady   without V8's choices about the size of the heap
//   TEST_NODE=…   Node.js binaries, with commas between them
import { requireAttributions } from './attribution.mjs';
import { NODES, start, versionOf, WARM_UP } from './hello.mjs';
import { compare, settings } from './rounds.mjs';

const modes = (process.env.MODES ?? 'otel,on-demand,exact').split(',');
requireAttributions(modes);

for (const node of NODES) {
  const version = versionOf(node);
  await compare({
    title: `Node.js ${version}, hello world`,
    modes,
    start: (mode) => start(mode, { node }),
    ...settings({ rounds: 60, requests: 500, warmUp: WARM_UP }),
    targets: { 'on-demand': 1.02, exact: Number.parseInt(version.slice(1), 10) >= 24 ? 1.1 : 1.2 },
  });
}
