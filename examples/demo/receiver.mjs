// SPDX-License-Identifier: Apache-2.0
// An OTLP receiver in the runner's own process, so that the demo needs no backend, and a relay to a real one.
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { MockOtlpServer, normalizeLogs, normalizeMetrics, normalizeTrace } from '@elastic/mockotlpserver';

/**
 * Receives OTLP over http/protobuf on a free port of 127.0.0.1. With `forwardTo`, the base URL of an OTLP endpoint, each
 * request is passed on to it as well, unchanged.
 */
export async function startReceiver(forwardTo) {
  // Kept as they came: to unpack them while the load runs would take time from the client's own event loop.
  const received = { traces: [], metrics: [], logs: [] };
  const mock = new MockOtlpServer({
    logLevel: 'error',
    services: ['http'],
    httpHostname: '127.0.0.1',
    httpPort: 0,
    onTrace: (message) => received.traces.push(message),
    onMetrics: (message) => received.metrics.push(message),
    onLogs: (message) => received.logs.push(message),
  });
  await mock.start();

  const forwarding = [];
  const outcomes = { '/v1/traces': [], '/v1/metrics': [], '/v1/logs': [] };
  const relay = createServer(async (request, response) => {
    const body = await buffer(request);
    if (forwardTo) forwarding.push(post(forwardTo, request, body).then((it) => outcomes[request.url]?.push(it)));
    await post(mock.httpUrl.origin, request, body);
    response.end();
  });
  await new Promise((resolve) => relay.listen(0, '127.0.0.1', resolve));

  return {
    url: `http://127.0.0.1:${relay.address().port}`,
    /** All that came so far. */
    read: () => ({
      spans: received.traces.flatMap(readSpans),
      metrics: readMetrics(received.metrics),
      logs: received.logs.flatMap(readLogs),
    }),
    /** What the other endpoint answered, request by request: `ok`, or what was wrong. */
    async forwarded() {
      await Promise.all(forwarding);
      return { traces: outcomes['/v1/traces'], metrics: outcomes['/v1/metrics'], logs: outcomes['/v1/logs'] };
    },
    async close() {
      relay.closeAllConnections();
      relay.close();
      await mock.close();
    },
  };
}

/** Sends a copy of an OTLP request to another endpoint. Never throws; resolves to `ok` or to what was wrong. */
async function post(base, { url, headers }, body) {
  // These belong to the connection, not to the message.
  const { host, connection, 'content-length': _length, 'transfer-encoding': _encoding, ...kept } = headers;
  try {
    const signal = AbortSignal.timeout(3000);
    const response = await fetch(base.replace(/\/$/, '') + url, { method: 'POST', headers: kept, body, signal });
    await response.arrayBuffer();
    return response.ok ? 'ok' : `HTTP ${response.status}`;
  } catch (error) {
    return error.cause?.code ?? error.message;
  }
}

function readSpans(message) {
  return normalizeTrace(message).resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        traceId: span.traceId,
        id: span.spanId,
        parentId: span.parentSpanId || undefined,
        name: span.name,
        kind: span.kind,
        start: toMillis(span.startTimeUnixNano),
        end: toMillis(span.endTimeUnixNano),
        attributes: span.attributes ?? {},
        links: (span.links ?? []).map((link) => link.spanId),
      })),
    ),
  );
}

function readLogs(message) {
  return normalizeLogs(message).resourceLogs.flatMap(({ scopeLogs }) =>
    scopeLogs.flatMap(({ logRecords }) => logRecords),
  );
}

/** The last data points of each metric by name: sums and histograms are cumulative unless told otherwise. */
function readMetrics(messages) {
  const last = new Map();
  for (const message of messages) {
    for (const { scopeMetrics } of normalizeMetrics(message).resourceMetrics) {
      for (const metric of scopeMetrics.flatMap((scope) => scope.metrics)) {
        last.set(metric.name, (metric.sum ?? metric.histogram ?? metric.gauge)?.dataPoints ?? []);
      }
    }
  }
  return last;
}

/** Nanoseconds do not fit a double; milliseconds since the epoch with three decimals do. */
const toMillis = (nanos) => Number(BigInt(nanos) / 1000n) / 1000;
