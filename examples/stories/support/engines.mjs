// SPDX-License-Identifier: Apache-2.0
// Real engines in place of what is embedded: programs of the system on free ports of 127.0.0.1, in a folder of their own
// that is gone with the story. None of them is downloaded here: where one is missing, a line says how to get it.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { freePort, startProgram, until } from './process.mjs';

/** Its message is the one line. */
export class MissingEngine extends Error {}

const folders = [];
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export function temporaryFolder() {
  return removeAtExit(mkdtempSync(join(tmpdir(), 'engine-')));
}

export function removeAtExit(folder) {
  folders.push(folder);
  return folder;
}

/** The path of the first of `names` that there is. */
export function programOf(names, howToGetIt) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...postgresFolders()];
  const found = names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isProgram);
  if (!found) throw new MissingEngine(`${names[0]} is not there; ${howToGetIt}`);
  return found;
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Debian has its programs outside of PATH; the newest first. */
function postgresFolders() {
  const versions = '/usr/lib/postgresql';
  if (!existsSync(versions)) return [];
  return readdirSync(versions)
    .sort((a, b) => b - a)
    .map((version) => join(versions, version, 'bin'));
}

const debian = (packages) => `on Debian and Ubuntu: apt-get install --no-install-recommends ${packages}`;

/** Whether its programs are there; throws where they are not. */
export function postgresPrograms() {
  const how = debian('postgresql');
  return { initdb: programOf(['initdb'], how), postgres: programOf(['postgres'], how) };
}

/** A PostgreSQL with nothing in it. @returns its address */
export async function startPostgres() {
  const { initdb, postgres } = postgresPrograms();
  const home = temporaryFolder();
  // It refuses to run as root.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) spawnSync('chown', ['postgres', home]);
  const prefix = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : ['env'];
  const data = join(home, 'data');
  const [command, ...args] = [...prefix, initdb, '--no-sync', '-A', 'trust', '-U', 'postgres', '-D', data];
  const { status, error, stderr } = spawnSync(command, args, { cwd: home, encoding: 'utf8' });
  if (status !== 0) throw error ?? new Error(`initdb ended with ${status}\n${stderr}`);
  const port = await freePort();
  const settings = { listen_addresses: '127.0.0.1', port, unix_socket_directories: '', fsync: 'off' };
  const flags = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
  const [runner, ...rest] = [...prefix, postgres, '-D', data, ...flags];
  const program = startProgram(runner, rest, { cwd: home });
  await until(() => program.isUp(/database system is ready/), 'PostgreSQL to be ready');
  return { ...program, url: `postgres://postgres@127.0.0.1:${port}/postgres` };
}

export function prometheusPrograms() {
  return {
    prometheus: programOf(['prometheus'], debian('prometheus')),
    alertmanager: programOf(['alertmanager', 'prometheus-alertmanager'], debian('prometheus-alertmanager')),
  };
}

/** A Prometheus that scrapes `metricsPort` each second and evaluates `rules`, and an Alertmanager that tells `webhook`. */
export async function startPrometheus({ metricsPort, rules, webhook }) {
  const { prometheus, alertmanager } = prometheusPrograms();
  const folder = temporaryFolder();
  // JSON is YAML.
  const write = (name, content) => {
    writeFileSync(join(folder, name), JSON.stringify(content));
    return join(folder, name);
  };
  const alertsPort = await freePort();
  const manager = startProgram(alertmanager, [
    `--config.file=${write('alertmanager.yaml', {
      route: {
        receiver: 'story',
        group_by: ['alertname'],
        group_wait: '0s',
        group_interval: '1s',
        repeat_interval: '1h',
      },
      receivers: [{ name: 'story', webhook_configs: [{ url: webhook, send_resolved: true }] }],
    })}`,
    `--storage.path=${join(folder, 'alerts')}`,
    `--web.listen-address=127.0.0.1:${alertsPort}`,
    '--cluster.listen-address=',
  ]);
  await answers(manager, `http://127.0.0.1:${alertsPort}/-/ready`);
  const port = await freePort();
  const server = startProgram(prometheus, [
    `--config.file=${write('prometheus.yaml', {
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: [write('rules.yaml', rules)],
      alerting: { alertmanagers: [{ static_configs: [{ targets: [`127.0.0.1:${alertsPort}`] }] }] },
      scrape_configs: [{ job_name: 'story', static_configs: [{ targets: [`127.0.0.1:${metricsPort}`] }] }],
    })}`,
    `--storage.tsdb.path=${join(folder, 'series')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  const url = `http://127.0.0.1:${port}`;
  await answers(server, `${url}/-/ready`);
  return {
    url,
    /** The value of an instant query that has one; undefined where there is none. */
    async query(expression) {
      const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`);
      const { data } = await response.json();
      const value = Number(data?.result?.[0]?.value[1]);
      return Number.isNaN(value) ? undefined : value;
    },
    async end() {
      for (const { kill } of [server, manager]) await kill();
    },
  };
}

/** Waits until `program` answers there with a 200. */
export async function answers(program, url) {
  await until(async () => {
    program.isUp();
    const response = await fetch(url).catch(() => undefined);
    await response?.arrayBuffer();
    return response?.ok;
  }, `an answer at ${url}`);
}
