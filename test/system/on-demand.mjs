// SPDX-License-Identifier: Apache-2.0
// `npm run test:on-demand`: test/scenarios/on-demand-safety.test.ts with fifty switch-ons in each scenario (TIMES), also
// beside other vendors' tracers, as far as they can be installed. TEST_NODE chooses the Node.js; `-- -t Sentry` what runs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { installApp, lineDependencies, pack, REPOSITORY, temporaryFolder, versionOf } from '../support/apps.mjs';

/** As in libraries.mjs; by what test/fixtures/on-demand.cjs calls them. */
const VENDORS = {
  'Sentry 10': { '@sentry/node': '10.78.0', '@sentry/opentelemetry': '10.78.0' },
  'Sentry 11': { 'sentry-11': 'npm:@sentry/node@11.12.0' },
  'dd-trace': { 'dd-trace': '5.132.0' },
};

const node = process.env.TEST_NODE ?? process.execPath;
const folder = temporaryFolder();
const app = join(folder, 'app');
const { tarball } = pack(folder);
const vendors = install();
cpSync(join(REPOSITORY, 'test/fixtures'), join(app, 'fixtures'), { recursive: true });

const vitest = spawn(
  process.execPath,
  [
    join(REPOSITORY, 'node_modules/vitest/vitest.mjs'),
    'run',
    'test/scenarios/on-demand-safety.test.ts',
    ...process.argv.slice(2),
  ],
  {
    cwd: REPOSITORY,
    stdio: 'inherit',
    env: {
      TIMES: '50',
      ...process.env,
      TEST_APP: app,
      TEST_NODE: node,
      TEST_NODE_VERSION: versionOf(node),
      TEST_VENDORS: vendors.join(','),
      // Nobody is there, and nothing of it is to be asked for.
      DD_TRACE_AGENT_URL: 'http://127.0.0.1:9',
      DD_TRACE_ENABLED: 'true',
      DD_REMOTE_CONFIGURATION_ENABLED: 'false',
      DD_TRACE_LOG_LEVEL: 'error',
    },
  },
);
const [code] = await once(vitest, 'exit');
process.exit(code ?? 1);

/** @returns whose tracers are there. */
function install() {
  const names = Object.keys(VENDORS);
  const dependenciesOf = (some) => Object.assign(lineDependencies(), ...some.map((name) => VENDORS[name]));
  try {
    installApp(app, 2, tarball, node, { dependencies: dependenciesOf(names) });
    return names;
  } catch (error) {
    console.log(`without ${names.join(', ')}, which cannot be installed: ${error.message.split('\n')[0]}`);
    installApp(app, 2, tarball, node, { dependencies: lineDependencies() });
    return [];
  }
}
