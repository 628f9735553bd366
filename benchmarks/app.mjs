// SPDX-License-Identifier: Apache-2.0
// The benchmarks' servers as applications that have the packed package installed, beside the real libraries that the
// repository itself has no use for.
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { installApp, pack, REPOSITORY, temporaryFolder } from '../test/support/apps.mjs';

/** The newest ones that load on every supported Node.js and go with OpenTelemetry 2.x. */
const DEPENDENCIES = {
  '@fastify/otel': '0.21.2',
  '@opentelemetry/instrumentation-graphql': '0.71.0',
  '@opentelemetry/instrumentation-pg': '0.76.0',
  fastify: '5.12.8',
  graphql: '16.15.0',
  pg: '8.23.1',
};

/** @returns the application's folder, with `benchmarks/` in it; gone when this process ends. */
export function installForBenchmarks() {
  const folder = temporaryFolder();
  const app = join(folder, 'app');
  installApp(app, 2, pack(folder).tarball, process.execPath, { dependencies: DEPENDENCIES });
  for (const part of ['benchmarks', 'test/fixtures']) {
    cpSync(join(REPOSITORY, part), join(app, part), { recursive: true });
  }
  return app;
}
