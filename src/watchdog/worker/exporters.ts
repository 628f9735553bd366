// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module';
import { settingOf } from '../../otel/otlp.js';
import type { Signal } from '../messages.js';
import type { Exported, ExportedLog, ExportedSpan, Items } from './items.js';
import { postJson } from './json-export.js';

interface Exporter {
  export(items: readonly Exported[], onResult: (result: unknown) => void): void;
}
type ExporterModule = Record<string, (new () => Exporter) | undefined>;

/** A report that has not left by then is given up: a collector that is down must not pile up reports. Milliseconds. */
const MAX_EXPORT_MILLIS = 5_000;

const EXPORTERS = {
  traces: { packageName: '@opentelemetry/exporter-trace-otlp-', className: 'OTLPTraceExporter' },
  logs: { packageName: '@opentelemetry/exporter-logs-otlp-', className: 'OTLPLogExporter' },
} as const;
const PACKAGE_SUFFIXES: Record<string, string> = { 'http/protobuf': 'proto', 'http/json': 'http', grpc: 'grpc' };

/** Where a package manager does not hoist, the exporters are only to be found beside who depends on them. */
const DEPENDENTS = ['@opentelemetry/sdk-node', '@opentelemetry/auto-instrumentations-node'];

const exporters = new Map<Signal, Exporter | undefined>();

/** They read their environment once: from now on others do, which read it anew. */
export function forgetExporters(): void {
  exporters.clear();
}

/** Loads the exporter of one of `signals`, where one is still to be loaded, and returns whether it was. */
export function prepare(signals: readonly Signal[], resolveFrom: readonly string[]): boolean {
  const signal = signals.find((signal) => !exporters.has(signal));
  if (signal !== undefined) exporterOf(signal, resolveFrom);
  return signal !== undefined;
}

/**
 * Sends what goes out through the application's own OTLP exporters, which read the standard environment variables. They
 * are loaded here, ahead of the first hang by {@link prepare}. Never rejects.
 */
export async function send(items: Items, signals: readonly Signal[], resolveFrom: readonly string[]): Promise<void> {
  await Promise.all(signals.map((signal) => sendOne(signal, items[signal], resolveFrom)));
}

async function sendOne(
  signal: Signal,
  item: ExportedSpan | ExportedLog,
  resolveFrom: readonly string[],
): Promise<void> {
  try {
    const exporter = exporterOf(signal, resolveFrom);
    await withinTime(
      exporter ? new Promise((resolve) => exporter.export([item], resolve)) : postJson(signal, item, MAX_EXPORT_MILLIS),
    );
  } catch {
    // Nobody can be told: the line on stderr is out already.
  }
}

function exporterOf(signal: Signal, resolveFrom: readonly string[]): Exporter | undefined {
  if (!exporters.has(signal)) exporters.set(signal, loadExporter(signal, resolveFrom));
  return exporters.get(signal);
}

function loadExporter(signal: Signal, resolveFrom: readonly string[]): Exporter | undefined {
  const protocol = settingOf(signal, 'PROTOCOL', process.env) ?? 'http/protobuf';
  const { packageName, className } = EXPORTERS[signal];
  const id = `${packageName}${PACKAGE_SUFFIXES[protocol.trim()] ?? 'proto'}`;
  for (const anchor of anchors(resolveFrom)) {
    try {
      const Exporter = (createRequire(anchor)(id) as ExporterModule)[className];
      if (Exporter) return new Exporter();
    } catch {
      // Not from there.
    }
  }
  return undefined;
}

function* anchors(resolveFrom: readonly string[]): Generator<string> {
  yield* resolveFrom;
  for (const from of resolveFrom) {
    for (const dependent of DEPENDENTS) {
      try {
        yield createRequire(from).resolve(dependent);
      } catch {
        // Not there.
      }
    }
  }
}

function withinTime(sending: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise((resolve) => {
    timer = setTimeout(resolve, MAX_EXPORT_MILLIS);
  });
  return Promise.race([sending, timeout]).finally(() => clearTimeout(timer));
}
