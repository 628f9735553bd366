// SPDX-License-Identifier: Apache-2.0
import { type SpanContext, trace } from '@opentelemetry/api';
import type { Iteration, RequestMetadata, SpanShare } from '../model.js';
import { entryOf, noteRequest } from '../otel/entry.js';
import { nameOf, parentOf } from '../otel/span-facts.js';
import type { Block, BlockShare } from '../types.js';

/** How far up a span's ancestors are looked for. */
const MAX_ANCESTORS = 32;

/** Of so many shares, the largest, it is kept which requests they are part of. */
const MAX_REQUESTS = 10;

/** Who took turns with the one that the head is taken for had so much of the head's time behind it, at least. */
const LEAST_TURNS = 0.5;

/**
 * Decides who is to blame for a busy iteration.
 *
 * 1. Every span whose own time reached the threshold is blamed.
 * 2. Where none did, the block is shared: blamed is the nearest ancestor whose descendants, within this iteration,
 *    reached the threshold together, and else the span with the largest share.
 * 3. Code under no span, and native code, rank like a span: where theirs is the largest share the block is nobody's.
 *
 * @param wallClockOffset what to add to the iteration's times to get milliseconds since the Unix epoch.
 */
export function blame(iteration: Iteration, thresholdMillis: number, wallClockOffset: number): Block {
  const shares = iteration.shares.map(toShare).sort(byDuration);
  const { verdict, approximate } = judgeWithHead(shares, iteration, thresholdMillis);
  noteRequests(shares, verdict, iteration);
  const durationMillis = iteration.busyMicros / 1000;
  const endTimeMillis = iteration.endedAt + wallClockOffset;
  return withEntry({
    startTimeMillis: endTimeMillis - durationMillis,
    endTimeMillis,
    durationMillis,
    thresholdMillis,
    ...verdict,
    approximate,
    shares,
    entry: undefined,
    location: undefined,
    hottest: undefined,
    functions: [],
    callbackCount: undefined,
    cause: undefined,
    cpuMillis: undefined,
    gcMillis: undefined,
    hostMillis: undefined,
    asyncResource: iteration.asyncResource,
  });
}

/** Who is blamed may change as the block grows: of the largest shares, too. */
function noteRequests(shares: readonly BlockShare[], { blamed }: Verdict, iteration: Iteration): void {
  const largest = new Set(shares.slice(0, MAX_REQUESTS).map(({ span }) => span));
  let anyRequest: { readonly traceId: string; readonly request: RequestMetadata } | undefined;
  for (const { span, request } of iteration.shares) {
    if (span === undefined || request === undefined || !largest.has(span)) continue;
    noteRequest(span, request);
    anyRequest ??= { traceId: span.spanContext().traceId, request };
  }
  // An ancestor that did not run itself is part of the same request as what ran below it.
  const first = blamed[0]?.span;
  const isAncestor = first !== undefined && !shares.some(({ span }) => span === first);
  if (isAncestor && anyRequest?.traceId === first.spanContext().traceId) noteRequest(first, anyRequest.request);
}

/** The block with the operation that it belongs to, as that is now, and the names of such wherever their spans are named. */
export function withEntry(block: Block): Block {
  const names = new Map<BlockShare['span'], string>();
  for (const { span } of block.blamed.slice(0, MAX_REQUESTS)) {
    const entry = entryOf(span);
    if (entry === undefined) continue;
    names.set(entry.span, entry.name);
    // One that did not run itself is another object.
    if (span?.spanContext().spanId === entry.span.spanContext().spanId) names.set(span, entry.name);
  }
  const named = (share: BlockShare): BlockShare => ({ ...share, name: names.get(share.span) ?? share.name });
  const { blamed, shares } = block;
  const entry = entryOf(blamed[0]?.span);
  return names.size === 0
    ? { ...block, entry }
    : { ...block, entry, blamed: blamed.map(named), shares: shares.map(named) };
}

/**
 * The verdict, and whether it would be another if the head, which nobody followed, had been nobody's, or that of the one who
 * ran most beside. Where the head alone makes one span the culprit, and others took turns with it behind the head, they may
 * have before as well: then it is shared.
 */
function judgeWithHead(
  shares: readonly BlockShare[],
  { head }: Iteration,
  thresholdMillis: number,
): { readonly verdict: Verdict; readonly approximate: boolean } {
  const verdict = judge(shares, thresholdMillis);
  if (head === undefined) return { verdict, approximate: false };
  const headMillis = head.micros / 1000;
  const taken = addTo(shares, head.share.span, -headMillis);
  const others = taken.filter(({ span }) => span !== head.share.span);
  const unseen = judge(taken, thresholdMillis);
  const given = others[0] && judge(addTo(taken, others[0].span, headMillis), thresholdMillis);
  if (isSame(verdict, unseen) && (given === undefined || isSame(verdict, given)))
    return { verdict, approximate: false };
  const turnsMillis = others.reduce((sum, { durationMillis }) => sum + durationMillis, 0);
  const isTurn = !verdict.shared && unseen.shared && turnsMillis >= headMillis * LEAST_TURNS;
  return {
    verdict: isTurn ? { shared: true, blamed: blameTogether(shares, thresholdMillis) } : verdict,
    approximate: true,
  };
}

/** `shares` with so much more for `span`, largest first. */
function addTo(shares: readonly BlockShare[], span: BlockShare['span'], millis: number): BlockShare[] {
  const more = (share: BlockShare): BlockShare => ({ ...share, durationMillis: share.durationMillis + millis });
  return shares.map((share) => (share.span === span ? more(share) : share)).sort(byDuration);
}

function isSame(one: Verdict, other: Verdict): boolean {
  if (one.shared !== other.shared || one.blamed.length !== other.blamed.length) return false;
  return one.blamed.every(({ span }) => other.blamed.some((share) => share.span === span));
}

function byDuration(a: BlockShare, b: BlockShare): number {
  return b.durationMillis - a.durationMillis;
}

type Verdict = Pick<Block, 'shared' | 'blamed'>;

/** The verdict on `shares`, largest first. */
export function judge(shares: readonly BlockShare[], thresholdMillis: number): Verdict {
  const alone = shares.filter((share) => share.durationMillis >= thresholdMillis);
  return {
    shared: alone.length === 0,
    blamed: alone.length > 0 ? alone : blameTogether(shares, thresholdMillis),
  };
}

function toShare({ span, shareMicros }: SpanShare): BlockShare {
  return { span, name: nameOf(span), durationMillis: shareMicros / 1000 };
}

interface Family {
  readonly share: BlockShare;
  /** Time of the span and of all its descendants that ran in the iteration. */
  total: number;
  /** Whether a descendant's family reached the threshold already, and so is nearer. */
  outdone: boolean;
}

/** The smallest families that reached the threshold together, largest first; else the largest share alone. */
function blameTogether(shares: readonly BlockShare[], thresholdMillis: number): BlockShare[] {
  const families = new Map<string, Family>();
  for (const share of shares) {
    if (share.span) families.set(share.span.spanContext().spanId, { share, total: 0, outdone: false });
  }
  for (const share of shares) {
    for (const family of ancestry(share, families)) family.total += share.durationMillis;
  }
  for (const { share, total } of [...families.values()]) {
    if (total < thresholdMillis) continue;
    for (const family of ancestry(share, families)) {
      if (family.share !== share) family.outdone = true;
    }
  }
  const together = [...families.values()]
    .filter((family) => family.total >= thresholdMillis && !family.outdone)
    .sort((a, b) => b.total - a.total)
    .map((family) => family.share);
  return together.length > 0 ? together : shares.slice(0, 1);
}

/** The family of `share` itself, then those of its ancestors; one that did not run itself gets its family here. */
function* ancestry(share: BlockShare, families: Map<string, Family>): Generator<Family> {
  let id = share.span?.spanContext().spanId;
  for (let i = 0; id !== undefined && i <= MAX_ANCESTORS; i++) {
    const family = families.get(id);
    if (family === undefined) return;
    yield family;
    const parent: SpanContext | undefined = parentOf(family.share.span);
    if (parent !== undefined && !families.has(parent.spanId)) {
      const span = trace.wrapSpanContext(parent);
      families.set(parent.spanId, { share: { span, name: nameOf(span), durationMillis: 0 }, total: 0, outdone: false });
    }
    id = parent?.spanId;
  }
}

/** The block with its spans' names as they are now: some get their route only when they are about to end. */
export function renamed(block: Block): Block {
  const withName = (share: BlockShare): BlockShare => (share.span ? { ...share, name: nameOf(share.span) } : share);
  return withEntry({ ...block, blamed: block.blamed.map(withName), shares: block.shares.map(withName) });
}
