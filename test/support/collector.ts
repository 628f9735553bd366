// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module';

// It has no types.
const require = createRequire(import.meta.url);
const { MockOtlpServer, normalizeLogs, normalizeMetrics, normalizeTrace } = require('@elastic/mockotlpserver');

// Its copy of the protocol is older than the event name, and would skip it.
const { getProtoRoot } = require('@elastic/mockotlpserver/lib/proto.js');
const { Field } = createRequire(require.resolve('@elastic/mockotlpserver'))('protobufjs');
const LogRecord = getProtoRoot().lookupType('opentelemetry.proto.logs.v1.LogRecord');
if (!LogRecord.fields.eventName) LogRecord.add(new Field('eventName', 12, 'string'));

type Attributes = Record<string, unknown>;

export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: Attributes;
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  /** Attributes of its resource. */
  readonly resource: Attributes;
}

export interface OtlpLog {
  readonly eventName: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly attributes: Attributes;
}

interface OtlpPoint {
  readonly attributes?: Attributes;
  readonly count?: string;
  readonly sum?: number;
  readonly asDouble?: number;
  readonly explicitBounds?: number[];
}

export interface OtlpMetric {
  readonly name: string;
  readonly unit: string;
  readonly histogram?: { readonly dataPoints: OtlpPoint[] };
  readonly sum?: { readonly dataPoints: OtlpPoint[]; readonly isMonotonic: boolean };
}

/** Receives OTLP over HTTP (protobuf or JSON) and gRPC on free ports, decoded. */
export class Collector {
  readonly spans: OtlpSpan[] = [];
  readonly logs: OtlpLog[] = [];
  /** The last export of each by name: they are cumulative. */
  readonly metrics = new Map<string, OtlpMetric>();

  private readonly _server = new MockOtlpServer({
    logLevel: 'error',
    services: ['http', 'grpc'],
    httpHostname: '127.0.0.1',
    httpPort: 0,
    grpcHostname: '127.0.0.1',
    grpcPort: 0,
    onTrace: (message: unknown) => {
      for (const { resource, scopeSpans } of normalizeTrace(message).resourceSpans) {
        for (const { spans } of scopeSpans) {
          for (const span of spans) this.spans.push({ ...span, resource: resource.attributes });
        }
      }
    },
    onLogs: (message: unknown) => {
      for (const { scopeLogs } of normalizeLogs(message).resourceLogs) {
        for (const { logRecords } of scopeLogs) this.logs.push(...logRecords);
      }
    },
    onMetrics: (message: unknown) => {
      for (const { scopeMetrics } of normalizeMetrics(message).resourceMetrics) {
        for (const { metrics } of scopeMetrics) {
          for (const metric of metrics) this.metrics.set(metric.name, metric);
        }
      }
    },
  });

  /** Forgets the spans and log records that came so far. */
  clear(): void {
    this.spans.length = 0;
    this.logs.length = 0;
  }

  async start(): Promise<void> {
    await this._server.start();
  }

  get url(): string {
    return this._server.httpUrl.origin;
  }

  get grpcUrl(): string {
    return this._server.grpcUrl.origin;
  }

  async close(): Promise<void> {
    await this._server.close();
  }
}
