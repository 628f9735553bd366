// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { JsonLogsSerializer, JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { endpointOf, parseHeaders, settingOf } from '../../otel/otlp.js';
import type { ExportedLog, ExportedSpan } from './items.js';

/**
 * OTLP/JSON for applications that are bundled into one file and have no exporter package that could be loaded.
 * https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
export function postJson(
  signal: 'traces' | 'logs',
  item: ExportedSpan | ExportedLog,
  timeoutMillis: number,
): Promise<void> {
  const url = new URL(endpointOf(signal, process.env));
  // Only now: each thread loads them for itself, and most programs never hang.
  const { request } =
    url.protocol === 'https:' ? process.getBuiltinModule('node:https') : process.getBuiltinModule('node:http');
  const ca = settingOf(signal, 'CERTIFICATE', process.env);
  const cert = settingOf(signal, 'CLIENT_CERTIFICATE', process.env);
  const key = settingOf(signal, 'CLIENT_KEY', process.env);
  const { headers } = parseHeaders(settingOf(signal, 'HEADERS', process.env) ?? '');
  return new Promise((resolve, reject) => {
    const sending = request(
      url,
      {
        method: 'POST',
        timeout: timeoutMillis,
        headers: { ...headers, 'content-type': 'application/json' },
        ...(ca && { ca: readFileSync(ca) }),
        ...(cert && { cert: readFileSync(cert) }),
        ...(key && { key: readFileSync(key) }),
      },
      (response) => {
        response.resume();
        response.on('end', resolve);
      },
    );
    sending.on('error', reject);
    sending.on('timeout', () => sending.destroy());
    sending.end(serialize(item));
  });
}

/** By OpenTelemetry's own serialiser, which the build puts in here. */
function serialize(item: ExportedSpan | ExportedLog): Uint8Array | undefined {
  return 'hrTime' in item
    ? JsonLogsSerializer.serializeRequest([item as never])
    : JsonTraceSerializer.serializeRequest([item as never]);
}
