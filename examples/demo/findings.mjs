// SPDX-License-Identifier: Apache-2.0
// From telemetry to facts. It knows the names of the package's telemetry contract and nothing about the service.

const BLOCK_SPAN = 'event loop blocked';

export function findings({ spans, metrics, logs }) {
  const byId = new Map(spans.map((span) => [span.id, span]));
  const byTrace = new Map();
  for (const span of spans) byTrace.set(span.traceId, [...(byTrace.get(span.traceId) ?? []), span]);
  const rootOf = (span) => {
    const parent = byId.get(span.parentId);
    return parent ? rootOf(parent) : span;
  };

  const blocks = spans
    .filter((span) => span.name === BLOCK_SPAN)
    .map((span) => ({
      span,
      blamed: byId.get(span.parentId),
      millis: span.attributes['eventloop.block.duration'] * 1000,
      names: span.attributes['eventloop.block.span_names'],
    }));

  return {
    requests: spans.filter(isServer).length,
    blocks: {
      // There is a data point for each cause.
      count: sum(metrics.get('eventloop.block.duration'), ({ count }) => Number(count)),
      totalMillis: sum(metrics.get('eventloop.block.time'), ({ asDouble }) => asDouble) * 1000,
      maxMillis: Math.max(0, ...(metrics.get('eventloop.block.duration') ?? []).map(({ max }) => max)) * 1000,
    },
    delay: delayOf(metrics.get('eventloop.delay')?.[0]),
    startUp: logs.find(({ eventName }) => eventName === 'eventloop.start_up')?.body,
    blamed: blamedRows(spans, blocks, rootOf),
    examples: longestByBlamed(blocks).map((block) => ({
      root: rootOf(block.blamed),
      spans: byTrace.get(block.span.traceId),
      // The log event lies in the blamed span's context; where that span blocked twice the time tells which it is.
      message: logs.find(
        ({ spanId, body }) => spanId === block.blamed.id && body.includes(`${Math.round(block.millis)} ms`),
      )?.body,
    })),
    stalled: spans.filter((span) => isServer(span) && span.attributes['eventloop.stalled']).length,
    bystander: longestStalled(byTrace, blocks),
  };
}

const sum = (points = [], read) => points.reduce((total, point) => total + read(point), 0);

const isServer = (span) => span.kind === 'SPAN_KIND_SERVER';

/** What the spans themselves say they blocked, by span name and request; and the blocks that are nobody's. */
function blamedRows(spans, blocks, rootOf) {
  const rows = new Map();
  const add = (name, request, count, millis, maxMillis) => {
    const key = `${request}\n${name}`;
    const row = rows.get(key) ?? { name, request, count: 0, totalMillis: 0, maxMillis: 0 };
    row.count += count;
    row.totalMillis += millis;
    row.maxMillis = Math.max(row.maxMillis, maxMillis);
    rows.set(key, row);
  };
  for (const span of spans) {
    const { attributes } = span;
    if (attributes['eventloop.blocked'] !== true) continue;
    add(
      span.name,
      rootOf(span).name,
      Number(attributes['eventloop.block.count'] ?? 1),
      attributes['eventloop.block.duration'] * 1000,
      // A block span speaks for a blamed span that had ended.
      (attributes['eventloop.block.max_duration'] ?? attributes['eventloop.block.duration']) * 1000,
    );
  }
  for (const { span, blamed, millis } of blocks) {
    if (!blamed) add('(no span)', placeOf(span), 1, millis, millis);
  }
  return [...rows.values()].sort((a, b) => b.totalMillis - a.totalMillis);
}

/** Where in the code a block was; empty where nothing was seen of it. */
function placeOf({ attributes }) {
  const name = attributes['code.function.name'];
  const file = attributes['code.file.path']?.replace(/^.*[/\\]/, '');
  return name ? `in ${name}, ${file}:${attributes['code.line.number']}` : '';
}

/** For each name of a blamed span the longest of its blocks: the slowest traces alone could all be of one route. */
function longestByBlamed(blocks) {
  const longest = new Map();
  for (const block of blocks.filter(({ blamed }) => blamed).sort((a, b) => b.millis - a.millis)) {
    if (!longest.has(block.blamed.name)) longest.set(block.blamed.name, block);
  }
  return [...longest.values()];
}

/** The request in which nothing is blamed that waited longest, together with the blocks that it is linked to. */
function longestStalled(byTrace, blocks) {
  const innocent = [...byTrace.values()].filter(
    (spans) => spans.some(isServer) && !spans.some((span) => span.attributes['eventloop.blocked']),
  );
  const roots = innocent.map((spans) => spans.find(isServer)).filter((root) => root.attributes['eventloop.stalled']);
  const [root] = roots.sort((a, b) => stallMillis(b) - stallMillis(a));
  if (!root) return undefined;
  const meanwhile = blocks.filter(({ span }) => root.links.includes(span.id));
  return { root, millis: stallMillis(root), spans: byTrace.get(root.traceId), meanwhile };
}

const stallMillis = (span) => span.attributes['eventloop.stall.duration'] * 1000;

/** Upper bounds of percentiles: a histogram tells no more than the bucket that they lie in. */
function delayOf(point) {
  if (!point) return undefined;
  const counts = point.bucketCounts.map(Number);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const maxMillis = point.max * 1000;
  const below = (share) => {
    let seen = 0;
    const bucket = counts.findIndex((count) => {
      seen += count;
      return seen >= total * share;
    });
    return Math.min((point.explicitBounds[bucket] ?? Number.POSITIVE_INFINITY) * 1000, maxMillis);
  };
  return { p50: below(0.5), p99: below(0.99), maxMillis };
}
