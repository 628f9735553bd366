// SPDX-License-Identifier: Apache-2.0
// The spans of a story in a real Jaeger, looked for by its API as docs/find-and-fix.md says.
import { findTrace, searchTraces } from './jaeger.mjs';

const BLOCK_SPAN = 'event loop blocked';
const HANG_SPAN = 'event loop hang';

/**
 * Of each story: its service while nothing is repaired, which spans blocked it and in which functions, which spans had to
 * wait for that, and what hung.
 */
const EXPECTED = {
  'database-rows': {
    service: 'shop',
    blamed: { 'handler - getStock': ['stockOf'], 'handler - getExport': ['toCsv'] },
    stalled: ['GET /orders/:id'],
  },
  'loop-latency': { service: 'latency', blamed: { 'handler - getReport': ['computeReport'] }, stalled: ['GET /users'] },
  'payload-codec': { service: 'orders', blamed: { 'encode payload': ['syncFetch'] }, stalled: ['POST /orders'] },
  'task-worker': {
    service: 'worker',
    blamed: { 'task build-report': ['syncFetch', 'render'] },
    stalled: ['task send-mail'],
  },
  'wedged-server': { service: 'parcels', hangs: { put: '0af7651916cd43dd8448eb211c80319c' } },
};

/** @returns what has to be there, each with `lack`: what is wrong with it, or undefined */
export async function lookForStory(api, story) {
  if (!EXPECTED[story]) return [{ what: `${story}: what has to be there`, lack: 'nobody has said it' }];
  const { service, blamed = {}, stalled = [], hangs = {} } = EXPECTED[story];
  const search = async (tags) => (await searchTraces(api, { service, tags })).flatMap(({ spans }) => spans);
  const [blamedTraces, stalledTraces] = await Promise.all([
    search({ 'eventloop.blocked': 'true' }),
    search({ 'eventloop.stalled': 'true' }),
  ]);
  const found = [];
  for (const [name, functions] of Object.entries(blamed)) {
    for (const functionName of functions) {
      found.push({
        what: `${story}: eventloop.blocked=true finds "${name}", and below it the block in ${functionName}`,
        lack: lackOfBlock(blamedTraces, name, functionName),
      });
    }
  }
  for (const name of stalled) {
    found.push({
      what: `${story}: eventloop.stalled=true finds "${name}", linked to blocks that are there`,
      lack: await lackOfLinks(api, stalledTraces, name),
    });
  }
  for (const [functionName, traceId] of Object.entries(hangs)) {
    found.push({
      what: `${story}: "${HANG_SPAN}" in ${functionName} is in the trace of the request that is stuck`,
      lack: lackOfHang(await findTrace(api, traceId), functionName),
    });
  }
  return found;
}

function lackOfBlock(spans, name, functionName) {
  const blamed = spans.filter((span) => span.name === name && span.tags['eventloop.blocked'] === true);
  const ids = new Set(blamed.map(({ id }) => id));
  const blocks = spans.filter((span) => span.name === BLOCK_SPAN && ids.has(span.parentId));
  if (blocks.some((block) => isIn(block, functionName))) return undefined;
  return `${blamed.length} such spans, with blocks in ${blocks.map(describe)}`;
}

async function lackOfLinks(api, spans, name) {
  const stalled = spans.filter((span) => span.name === name && span.tags['eventloop.stalled'] === true);
  const links = stalled.flatMap((span) => span.links);
  if (links.length === 0) return `${stalled.length} such spans, without a link`;
  const ids = new Set(links.map(({ traceId }) => traceId));
  const traces = await Promise.all(Array.from(ids, (id) => findTrace(api, id)));
  const there = new Map(traces.flatMap((trace) => trace?.spans ?? []).map((span) => [span.id, span]));
  const lost = links.filter(({ spanId }) => there.get(spanId)?.name !== BLOCK_SPAN);
  return lost.length > 0 ? `${lost.length} of ${links.length} links lead to no block` : undefined;
}

function lackOfHang(trace, functionName) {
  const hangs = (trace?.spans ?? []).filter(({ name }) => name === HANG_SPAN);
  return hangs.some((hang) => isIn(hang, functionName)) ? undefined : `hangs in ${hangs.map(describe)}`;
}

function isIn({ tags }, functionName) {
  const isNamed = tags['code.function.name']?.split('.').at(-1) === functionName;
  return isNamed && /\.mjs$/.test(tags['code.file.path']) && tags['code.line.number'] > 0;
}

const describe = ({ tags }) => `${tags['code.function.name']} (${tags['code.file.path']}:${tags['code.line.number']})`;
