// SPDX-License-Identifier: Apache-2.0
// A real Temporal: yours, or the test server of its own project, and its own metrics.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { built } from './builds.mjs';
import { temporaryFolder } from './engines.mjs';
import { install } from './install.mjs';
import { runProgram, startProgram, until } from './process.mjs';

const FOLDER = fileURLToPath(new URL('../payload-codec/temporal/', import.meta.url));
const PROGRAM = 'temporal-server';
const SERVER = {
  name: 'temporal',
  version: '1.30.7',
  modules: ['go.temporal.io/server/temporaltest'],
  source: `${FOLDER}server.go`,
  programs: [PROGRAM],
  otherwise: 'run `temporal server start-dev` and set TEMPORAL_ADDRESS=127.0.0.1:7233',
};

/** Of the server; there is none where TEMPORAL_ADDRESS names one that runs. */
let folder;

export async function prepareTemporal(report) {
  folder = process.env.TEMPORAL_ADDRESS ? undefined : await built(report, SERVER);
  install(report, FOLDER);
}

/** @returns the environment of its clients and workers, and how to end it */
export async function startTemporal() {
  const WORKFLOW_BUNDLE = join(temporaryFolder(), 'workflows.js');
  await runProgram(process.execPath, [join(FOLDER, 'bundle.mjs'), WORKFLOW_BUNDLE]);
  const { TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE = 'default' } = process.env;
  if (!folder) return { env: { TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, WORKFLOW_BUNDLE }, kill() {} };
  const program = startProgram(join(folder, PROGRAM), []);
  const listens = /^listens (\S+) (\S+)$/m;
  await until(() => program.isUp(listens), 'Temporal to listen');
  const [, address, namespace] = listens.exec(program.said);
  const env = { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace, WORKFLOW_BUNDLE };
  return { env, kill: program.kill };
}

/**
 * The value below which `share` of what a histogram has seen lies, as Prometheus's `histogram_quantile` has it; of all its
 * series together. `text`: what `/metrics` answers.
 */
export function histogramQuantile(text, name, share) {
  const counts = new Map();
  for (const [, le, count] of text.matchAll(new RegExp(`^${name}_bucket\\{.*?\\ble="([^"]+)".*\\} (\\d+)$`, 'gm'))) {
    const bound = le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le);
    counts.set(bound, (counts.get(bound) ?? 0) + Number(count));
  }
  const buckets = [...counts].sort(([a], [b]) => a - b);
  const rank = (buckets.at(-1)?.[1] ?? 0) * share;
  const at = buckets.findIndex(([, count]) => count >= rank);
  if (rank === 0) return undefined;
  const [below, seen] = buckets[at - 1] ?? [0, 0];
  const [bound, count] = buckets[at];
  return bound === Number.POSITIVE_INFINITY ? below : below + ((bound - below) * (rank - seen)) / (count - seen);
}
