// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
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
  const url = endpointOf(signal);
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  const ca = setting(signal, 'CERTIFICATE');
  const cert = setting(signal, 'CLIENT_CERTIFICATE');
  const key = setting(signal, 'CLIENT_KEY');
  return new Promise((resolve, reject) => {
    const sending = request(
      url,
      {
        method: 'POST',
        timeout: timeoutMillis,
        headers: { ...headersOf(signal), 'content-type': 'application/json' },
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
    sending.end(JSON.stringify('hrTime' in item ? logRequest(item) : spanRequest(item)));
  });
}

function setting(signal: string, name: string): string | undefined {
  return process.env[`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_${name}`] ?? process.env[`OTEL_EXPORTER_OTLP_${name}`];
}

function endpointOf(signal: string): URL {
  const own = process.env[`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`];
  if (own) return new URL(own);
  const base = process.env.OTEL_EXPORTER_OTLP_ENDPOINT || 'http://localhost:4318';
  return new URL(`${base.replace(/\/$/, '')}/v1/${signal}`);
}

function headersOf(signal: string): Record<string, string> {
  const pairs = (setting(signal, 'HEADERS') ?? '').split(',').map((pair) => pair.split('='));
  return Object.fromEntries(
    pairs.flatMap(([name, ...value]) =>
      name?.trim() ? [[decodeURIComponent(name.trim()), decodeURIComponent(value.join('=').trim())]] : [],
    ),
  );
}

function spanRequest(span: ExportedSpan): object {
  const { traceId, spanId } = span.spanContext();
  return {
    resourceSpans: [
      {
        resource: { attributes: keyValues(span.resource.attributes) },
        scopeSpans: [
          {
            scope: span.instrumentationScope,
            spans: [
              {
                traceId,
                spanId,
                parentSpanId: span.parentSpanContext?.spanId,
                name: span.name,
                // Shifted by one against the API's.
                kind: span.kind + 1,
                startTimeUnixNano: nanos(span.startTime),
                endTimeUnixNano: nanos(span.endTime),
                attributes: keyValues(span.attributes),
                status: {},
              },
            ],
          },
        ],
      },
    ],
  };
}

function logRequest(log: ExportedLog): object {
  return {
    resourceLogs: [
      {
        resource: { attributes: keyValues(log.resource.attributes) },
        scopeLogs: [
          {
            scope: log.instrumentationScope,
            logRecords: [
              {
                timeUnixNano: nanos(log.hrTime),
                observedTimeUnixNano: nanos(log.hrTimeObserved),
                severityNumber: log.severityNumber,
                severityText: log.severityText,
                eventName: log.eventName,
                body: { stringValue: log.body },
                attributes: keyValues(log.attributes),
                traceId: log.spanContext.traceId,
                spanId: log.spanContext.spanId,
              },
            ],
          },
        ],
      },
    ],
  };
}

function nanos([seconds, rest]: readonly [number, number]): string {
  return `${seconds}${String(rest).padStart(9, '0')}`;
}

function keyValues(attributes: Record<string, unknown>): object[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: unknown): object {
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyValue) } };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value !== 'number') return { stringValue: String(value) };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}
