// SPDX-License-Identifier: Apache-2.0

/** What the `OTEL_EXPORTER_OTLP_*` variables say: https://opentelemetry.io/docs/specs/otel/protocol/exporter/ */

type Signal = 'traces' | 'logs';
type Environment = Readonly<Record<string, string | undefined>>;

/** Where a signal goes; over gRPC that is no path. */
export function endpointOf(signal: Signal, environment: Environment, isGrpc = false): string {
  const own = environment[`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`];
  if (own) return own;
  const base = environment.OTEL_EXPORTER_OTLP_ENDPOINT || `http://localhost:${isGrpc ? 4317 : 4318}`;
  return isGrpc ? base : `${base.replace(/\/$/, '')}/v1/${signal}`;
}

/** A setting of one signal, or else of all: `HEADERS`, `PROTOCOL`. */
export function settingOf(signal: Signal, name: string, environment: Environment): string | undefined {
  return environment[`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_${name}`] ?? environment[`OTEL_EXPORTER_OTLP_${name}`];
}

/** Headers from `name=value,name=value`, percent-encoded; `isWhole` tells whether all of the text was that. */
export function parseHeaders(text: string): { readonly headers: Record<string, string>; readonly isWhole: boolean } {
  const headers: Record<string, string> = {};
  let isWhole = true;
  for (const pair of text.split(',')) {
    const [name = '', ...value] = pair.split('=');
    try {
      if (name.trim() === '' || value.length === 0) throw new Error('no header');
      headers[decodeURIComponent(name.trim())] = decodeURIComponent(value.join('=').trim());
    } catch {
      isWhole = false;
    }
  }
  return { headers, isWhole };
}

/** The reverse of {@link parseHeaders}. */
export function formatHeaders(headers: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(headers).map((pair) => pair.map(encodeURIComponent).join('='));
  return pairs.join(',');
}
