// SPDX-License-Identifier: Apache-2.0
// An OTLP receiver (http/json) in the runner's own process, so that a story needs no back-end.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';

/** An address where they take OTLP over HTTP, to which all traces go as well; undefined for none. */
let alsoTo;

export function sendTracesTo(url) {
  alsoTo = url;
}

export async function startReceiver() {
  const received = { spans: [], logs: [], metrics: new Map() };
  const server = createServer(async (request, response) => {
    try {
      const telemetry = await json(request);
      take(telemetry, received);
      if (alsoTo && telemetry.resourceSpans) await pass(telemetry);
      response.setHeader('content-type', 'application/json').end('{}');
    } catch (error) {
      response.writeHead(400).end(String(error));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    ...received,
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function pass(traces) {
  const response = await fetch(`${alsoTo}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(traces),
  });
  if (!response.ok) throw new Error(`${alsoTo}: ${response.status} ${await response.text()}`);
}

function take({ resourceSpans = [], resourceLogs = [], resourceMetrics = [] }, { spans, logs, metrics }) {
  for (const span of resourceSpans.flatMap((it) => it.scopeSpans).flatMap((it) => it.spans)) {
    spans.push({
      traceId: span.traceId,
      id: span.spanId,
      parentId: span.parentSpanId || undefined,
      name: span.name,
      kind: span.kind,
      start: toMillis(span.startTimeUnixNano),
      end: toMillis(span.endTimeUnixNano),
      attributes: flat(span.attributes),
      links: (span.links ?? []).map(({ spanId }) => spanId),
    });
  }
  for (const record of resourceLogs.flatMap((it) => it.scopeLogs).flatMap((it) => it.logRecords)) {
    const { eventName, severityText, traceId, spanId } = record;
    logs.push({
      eventName,
      severityText,
      traceId,
      spanId,
      body: plain(record.body),
      attributes: flat(record.attributes),
    });
  }
  for (const metric of resourceMetrics.flatMap((it) => it.scopeMetrics).flatMap((it) => it.metrics)) {
    // Cumulative: the last says it all.
    metrics.set(metric.name, (metric.sum ?? metric.histogram ?? metric.gauge).dataPoints);
  }
}

const toMillis = (nanos) => Number(BigInt(nanos) / 1000n) / 1000;
const flat = (attributes = []) => Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)]));

function plain(value = {}) {
  if (value.arrayValue) return (value.arrayValue.values ?? []).map(plain);
  if (value.intValue !== undefined) return Number(value.intValue);
  return value.stringValue ?? value.boolValue ?? value.doubleValue;
}
