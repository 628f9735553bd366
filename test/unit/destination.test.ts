// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import type { Sdk } from '../../src/otel/sdk.js';
import { Destination } from '../../src/watchdog/destination.js';

const WHOLE = { tracerProvider: {}, loggerProvider: {} } as unknown as Sdk;
const NONE = {} as Sdk;
const TRACES = 'OTEL_TRACES_EXPORTER';
const LOGS = 'OTEL_LOGS_EXPORTER';
const BASE = 'OTEL_EXPORTER_OTLP_ENDPOINT';
const OWN = 'OTEL_EXPORTER_OTLP_LOGS_ENDPOINT';
const PROTOCOL = 'OTEL_EXPORTER_OTLP_PROTOCOL';

it.each<[string, Sdk, string | undefined, NodeJS.ProcessEnv, string]>([
  ['no SDK', NONE, undefined, {}, 'stderr'],
  ['no SDK, but a place', NONE, 'https://c/', {}, 'stderr, https://c/v1/traces (traces), https://c/v1/logs (logs)'],
  [
    'an SDK',
    WHOLE,
    undefined,
    {},
    'stderr, http://localhost:4318/v1/traces (traces), http://localhost:4318/v1/logs (logs)',
  ],
  [
    'an SDK of spans',
    { tracerProvider: {} } as Sdk,
    undefined,
    { [BASE]: 'http://c:1/x' },
    'stderr, http://c:1/x/v1/traces (traces)',
  ],
  [
    'an SDK of log events',
    { loggerProvider: {} } as Sdk,
    undefined,
    { [OWN]: 'http://u:p@c/l?key=k' },
    'stderr, http://c/l (logs)',
  ],
  ['gRPC', WHOLE, undefined, { [PROTOCOL]: 'grpc', [LOGS]: 'none' }, 'stderr, http://localhost:4317/ (traces)'],
  ['exporters that print', WHOLE, undefined, { [TRACES]: 'console', [LOGS]: 'console' }, 'stderr'],
  [
    'several exporters',
    WHOLE,
    undefined,
    { [TRACES]: 'zipkin, otlp', [LOGS]: ' none , otlp', [BASE]: 'http://c' },
    'stderr, http://c/v1/traces (traces)',
  ],
  [
    'none, but a place',
    WHOLE,
    'http://c',
    { [TRACES]: 'none', [LOGS]: 'none', [OWN]: 'http://d' },
    'stderr, http://c/v1/traces (traces), http://c/v1/logs (logs)',
  ],
  ['a disabled SDK and a place', WHOLE, 'http://c', { OTEL_SDK_DISABLED: 'true' }, 'stderr'],
])('with %s', (_, sdk, url, environment, expected) => {
  expect(new Destination(url, environment, sdk).describe()).toBe(expected);
});

it('lets spans out once one is recorded, whoever has made it', () => {
  const destination = new Destination(undefined, {}, NONE);
  expect(destination.signals()).toEqual([]);
  destination.noteRecording();
  expect(destination.signals()).toEqual(['traces']);
});
