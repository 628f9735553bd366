// SPDX-License-Identifier: Apache-2.0
// A real Hatchet on a real PostgreSQL.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { built } from './builds.mjs';
import { postgresPrograms, startPostgres, temporaryFolder } from './engines.mjs';
import { install } from './install.mjs';
import { accepts, freePort, runProgram, startProgram, until } from './process.mjs';

const FOLDER = fileURLToPath(new URL('../task-worker/hatchet/', import.meta.url));
const PROGRAMS = ['hatchet-lite', 'hatchet-migrate', 'hatchet-admin'];
const VERSION = '0.83.0';
const SERVER = {
  name: 'hatchet',
  version: VERSION,
  modules: PROGRAMS.map((program) => `github.com/hatchet-dev/hatchet/cmd/${program}`),
  programs: PROGRAMS,
  // Its clients ask for it, and take one that does not say it for too old.
  settings: { 'main.Version': `v${VERSION}` },
};
/** Of the tenant that its quickstart makes. */
const TENANT = '707d0855-80ab-4e1f-a156-f1c4546cbf52';

let folder;

export async function prepareHatchet(report) {
  postgresPrograms();
  folder = await built(report, SERVER);
  install(report, FOLDER);
}

/** @returns the environment of its clients, and how to end it */
export async function startHatchet() {
  const [lite, migrate, admin] = PROGRAMS.map((program) => join(folder, program));
  const postgres = await startPostgres();
  const home = temporaryFolder();
  const [grpc, api, frontend, runtime] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const address = `127.0.0.1:${grpc}`;
  const options = {
    cwd: home,
    env: {
      DATABASE_URL: `${postgres.url}?sslmode=disable`,
      SERVER_MSGQUEUE_KIND: 'postgres',
      SERVER_GRPC_INSECURE: 't',
      SERVER_GRPC_BIND_ADDRESS: '127.0.0.1',
      SERVER_GRPC_PORT: String(grpc),
      SERVER_GRPC_BROADCAST_ADDRESS: address,
      SERVER_PORT: String(api),
      SERVER_URL: `http://127.0.0.1:${runtime}`,
      SERVER_AUTH_COOKIE_DOMAIN: '127.0.0.1',
      SERVER_AUTH_COOKIE_INSECURE: 't',
      LITE_STATIC_ASSET_DIR: home,
      LITE_FRONTEND_PORT: String(frontend),
      LITE_RUNTIME_PORT: String(runtime),
    },
  };
  await runProgram(migrate, [], options);
  await runProgram(admin, ['quickstart', '--skip', 'certs', '--generated-config-dir', 'config'], options);
  const engine = startProgram(lite, ['--config', 'config'], options);
  const said = await runProgram(admin, ['token', 'create', '--config', 'config', '--tenant-id', TENANT], options);
  const [token] = /^ey\S+$/m.exec(said) ?? [];
  if (!token) throw new Error(`no token in\n${said}`);
  await until(() => engine.isUp() && accepts(grpc), `Hatchet to listen at ${address}`);
  return {
    env: {
      HATCHET_CLIENT_TOKEN: token,
      HATCHET_CLIENT_TLS_STRATEGY: 'none',
      HATCHET_CLIENT_HOST_PORT: address,
      HATCHET_CLIENT_API_URL: `http://127.0.0.1:${runtime}`,
      HATCHET_CLIENT_LOG_LEVEL: 'WARN',
    },
    async kill() {
      await engine.kill();
      await postgres.kill('SIGINT');
    },
  };
}
