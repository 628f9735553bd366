// SPDX-License-Identifier: Apache-2.0

/** What the exporters of `@opentelemetry/exporter-{trace,logs}-otlp-*` read of a span and of a log record. */
export type Attributes = Record<string, unknown>;
type HrTime = [number, number];
interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
}
export interface Exported {
  readonly attributes: Attributes;
  readonly droppedAttributesCount: number;
  readonly instrumentationScope: { readonly name: string; readonly version: string };
  readonly resource: {
    readonly attributes: Attributes;
    readonly schemaUrl?: string | undefined;
    readonly asyncAttributesPending: boolean;
    getRawAttributes(): [string, unknown][];
  };
}
export interface ExportedSpan extends Exported {
  readonly name: string;
  readonly kind: number;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly duration: HrTime;
  readonly parentSpanContext: SpanContext | undefined;
  readonly status: { readonly code: number };
  readonly ended: boolean;
  readonly links: readonly { readonly context: SpanContext }[];
  readonly events: [];
  readonly droppedEventsCount: number;
  readonly droppedLinksCount: number;
  spanContext(): SpanContext;
}
export interface ExportedLog extends Exported {
  readonly eventName: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: string;
  readonly hrTime: HrTime;
  readonly hrTimeObserved: HrTime;
  readonly spanContext: SpanContext;
}

/** The two parts of a report. */
export interface Items {
  readonly traces: ExportedSpan;
  readonly logs: ExportedLog;
}
