// SPDX-License-Identifier: Apache-2.0
// Asks Jaeger through its own API, as its search page does.

/** More than any test keeps. */
const LIMIT = 100_000;

/**
 * The traces in which a span fits: all of a service, or those with a span of that name (`operation`) or those `tags`.
 * Times are microseconds since the epoch.
 */
export async function searchTraces(api, { service, operation, tags }) {
  const query = new URLSearchParams({ service, limit: LIMIT });
  if (operation !== undefined) query.set('operation', operation);
  if (tags !== undefined) query.set('tags', JSON.stringify(tags));
  return (await ask(`${api}/api/traces?${query}`)).map(readTrace);
}

/** Undefined where it was not kept. */
export async function findTrace(api, id) {
  const [trace] = await ask(`${api}/api/traces/${id}`);
  return trace && readTrace(trace);
}

async function ask(url) {
  const response = await fetch(url);
  const text = await response.text();
  if (response.status === 404) return [];
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text.slice(0, 300)}`);
  return JSON.parse(text).data ?? [];
}

function readTrace({ traceID, spans }) {
  return { id: idOf(traceID, 32), spans: spans.map(readSpan) };
}

function readSpan({ traceID, spanID, operationName, references, startTime, duration, tags, warnings }) {
  const [parents, links] = ['CHILD_OF', 'FOLLOWS_FROM'].map((type) =>
    references
      .filter(({ refType }) => refType === type)
      .map((it) => ({ traceId: idOf(it.traceID, 32), spanId: idOf(it.spanID, 16) })),
  );
  return {
    traceId: idOf(traceID, 32),
    id: idOf(spanID, 16),
    name: operationName,
    parentId: parents[0]?.spanId,
    links,
    start: startTime,
    end: startTime + duration,
    tags: Object.fromEntries(tags.map(({ key, value }) => [key, value])),
    warnings: warnings ?? [],
  };
}

/** Zeros that it begins with are left out. */
const idOf = (text, length) => text.padStart(length, '0');
