// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module';
import { afterEach, expect, it } from 'vitest';
import type { Signal } from '../../src/watchdog/messages.js';
import { prepare } from '../../src/watchdog/worker/exporters.js';

const require = createRequire(import.meta.url);
const isLoaded = (name: string): boolean =>
  Object.keys(require.cache).some((file) => file.includes(`/@opentelemetry/${name}/`));

const { OTEL_EXPORTER_OTLP_LOGS_PROTOCOL } = process.env;
afterEach(() => {
  process.env.OTEL_EXPORTER_OTLP_LOGS_PROTOCOL = OTEL_EXPORTER_OTLP_LOGS_PROTOCOL ?? '';
});

it('loads the exporters of what leaves the process ahead of a report, one at a time', () => {
  const from = [import.meta.filename];
  process.env.OTEL_EXPORTER_OTLP_LOGS_PROTOCOL = 'http/json';
  const load = (...signals: Signal[]) => {
    const hasLoaded = prepare(signals, from);
    return { hasLoaded, traces: isLoaded('exporter-trace-otlp-proto'), logs: isLoaded('exporter-logs-otlp-http') };
  };
  expect(load()).toEqual({ hasLoaded: false, traces: false, logs: false });
  expect(load('traces')).toEqual({ hasLoaded: true, traces: true, logs: false });
  expect(load('traces')).toEqual({ hasLoaded: false, traces: true, logs: false });
  expect(load('traces', 'logs')).toEqual({ hasLoaded: true, traces: true, logs: true });
  expect(load('traces', 'logs')).toEqual({ hasLoaded: false, traces: true, logs: true });
});
