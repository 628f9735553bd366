// SPDX-License-Identifier: Apache-2.0
// A real Temporal: yours, or the test server of its own project, and its own metrics.
import { fileURLToPath } from 'node:url';
import { built } from './builds.mjs';
import { install } from './install.mjs';
import { startProgram, until } from './process.mjs';

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

/** Its path is empty where there is one already, that TEMPORAL_ADDRESS names. */
let binary;

export async function prepareTemporal(report) {
  binary = process.env.TEMPORAL_ADDRESS ? '' : `${await built(report, SERVER)}/${PROGRAM}`;
  install(report, FOLDER);
}

/** @returns the environment that leads to it, and how to end it */
export async function startTemporal() {
  const { TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE = 'default' } = process.env;
  if (!binary) return { env: { TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE }, kill() {} };
  const program = startProgram(binary, []);
  const listens = /^listens (\S+) (\S+)$/m;
  await until(() => program.isUp(listens), 'Temporal to listen');
  const [, address, namespace] = listens.exec(program.said);
  return { env: { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace }, kill: program.kill };
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
