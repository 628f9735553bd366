// SPDX-License-Identifier: Apache-2.0
// Real back-ends for system tests and benchmarks: Jaeger and the Collector, which are one binary. It is built from its Go
// module into `.backends/`, once for each version. They listen on free ports of 127.0.0.1 and end with the process that started them.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { REPOSITORY, temporaryFolder } from './apps.mjs';
import { freePort, startChild } from './servers.mjs';

const FOLDER = join(REPOSITORY, '.backends');
/** Generous: nothing of it takes more than some seconds on a machine with nothing else to do. */
const START_TIMEOUT_MILLIS = 120_000;

/** It is a build of the Collector itself, v0.140, with the storage and the API beside. */
const JAEGER = { version: 'v1.76.0', main: 'github.com/jaegertracing/jaeger/cmd/jaeger' };

/** The path of the binary, which is built where there is none yet: minutes, the first time on a machine. */
export function buildJaeger() {
  const { version, main } = JAEGER;
  const binary = join(FOLDER, `jaeger-${version}`);
  if (existsSync(binary)) return binary;
  const { error } = spawnSync('go', ['version']);
  if (error) {
    throw new Error(
      'Jaeger is built with Go, which is not there: install Go 1.26 or newer, so that `go version` works',
    );
  }
  const startedAt = performance.now();
  const work = join(FOLDER, `jaeger.${process.pid}`);
  mkdirSync(work, { recursive: true });
  try {
    // Not `go install`: modules that replace others cannot be installed that way.
    go(['mod', 'init', 'backends/jaeger'], work);
    go(['get', '-tool', `${main}@${version}`], work);
    const built = join(work, 'jaeger');
    go(['build', '-o', built, main], work);
    // Whole or not at all.
    renameSync(built, binary);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  console.log(`        built Jaeger ${version} in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
  return binary;
}

function go(args, cwd) {
  const { status, error, stdout, stderr } = spawnSync('go', args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`go ${args.join(' ')} ended with ${error ?? status}\n${stdout}${stderr}`);
}

/** With its memory for storage. `otlp`: where it takes spans; `api`: where it is asked. */
export async function startJaeger() {
  const [otlp, query, grpc] = await freePorts(3);
  const storage = 'in_memory';
  const config = {
    service: {
      extensions: ['jaeger_storage', 'jaeger_query'],
      pipelines: { traces: { receivers: ['otlp'], exporters: ['jaeger_storage_exporter'] } },
      telemetry: { logs: { level: 'warn' }, metrics: { level: 'none' } },
    },
    extensions: {
      jaeger_storage: { backends: { [storage]: { memory: { max_traces: 100_000 } } } },
      jaeger_query: {
        storage: { traces: storage },
        http: { endpoint: `127.0.0.1:${query}` },
        grpc: { endpoint: `127.0.0.1:${grpc}` },
      },
    },
    receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${otlp}` } } } },
    exporters: { jaeger_storage_exporter: { trace_storage: storage } },
  };
  const child = startChild(buildJaeger(), ['--config', writeConfig(config)]);
  const [api, otlpUrl] = [`http://127.0.0.1:${query}`, `http://127.0.0.1:${otlp}`];
  await answers(child, `${api}/api/services`);
  await answers(child, otlpUrl);
  return { child, api, otlp: otlpUrl };
}

/**
 * The Collector with `config`, one of the shipped files, in which one exporter is called as it was before version 0.144: they
 * say so themselves. On top of it comes what has to be another for each that is started here: where it listens, and `more`.
 * `url`: where it takes OTLP over HTTP.
 */
export async function startCollector(config, { more = {}, env = {} } = {}) {
  const [http, grpc] = await freePorts(2);
  const ours = {
    receivers: {
      otlp: { protocols: { http: { endpoint: `127.0.0.1:${http}` }, grpc: { endpoint: `127.0.0.1:${grpc}` } } },
    },
    // Its own metrics would take a port that is always the same.
    service: { telemetry: { logs: { level: 'warn' }, metrics: { level: 'none' } } },
  };
  const shipped = pathOf('shipped.yaml');
  writeFileSync(shipped, readFileSync(config, 'utf8').replaceAll('otlp_http', 'otlphttp'));
  const configs = [shipped, writeConfig(ours), writeConfig(more)].flatMap((path) => ['--config', path]);
  const child = startChild(buildJaeger(), configs, env);
  const url = `http://127.0.0.1:${http}`;
  await answers(child, url);
  return { child, url };
}

/** JSON is YAML. */
function writeConfig(content) {
  const path = pathOf('config.yaml');
  writeFileSync(path, JSON.stringify(content));
  return path;
}

let temporary;
let paths = 0;

/** A path that nobody else has. */
function pathOf(name) {
  temporary ??= temporaryFolder();
  return join(temporary, `${++paths}-${name}`);
}

async function freePorts(count) {
  const ports = new Set();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}

/** Waits until `child` answers there. */
async function answers(child, url, isRight = () => true) {
  const since = performance.now();
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    await response?.arrayBuffer();
    if (response && isRight(response)) return;
    if (child.exitCode !== null || performance.now() - since > START_TIMEOUT_MILLIS) {
      throw new Error(`${child.spawnfile} does not answer at ${url}\n${child.said}`);
    }
    await sleep(50);
  }
}
