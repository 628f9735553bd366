// SPDX-License-Identifier: Apache-2.0
import type { Block, BlockShare, CodeLocation, StartUpTime } from '../types.js';
import { describeFrame, describeWhere } from './code.js';

/** What is said of a block and of a hang, in the words of a person: once for the log, the terminal, the guard, the hang. */

/** More names than this nobody reads. */
const MAX_NAMES = 3;
/** A part of the whole from here on is most of it. */
const MOST = 0.5;
/** `SpanKind` of entry spans. Its enum would drag the API into the watchdog's thread. */
const SERVER = 1;
const CONSUMER = 4;

/**
 * `event loop blocked for 412 ms by "GET /report" in buildReport (src/report.ts:42:7)`, and of a span inside of a request
 * `… by "build report" in GET /report, in buildReport (src/report.ts:42:7)`
 */
export function describeBlock(block: Block): string {
  const { location, hottest, durationMillis } = block;
  const where = location ? describePlace(block, location) : '';
  const within = hottest
    ? `, ${percent(hottest.selfMillis, durationMillis)} of it ${describeWhere(hottest.frame)}`
    : '';
  return `${describeWhose(block)}${where}${within}`;
}

/** `event loop blocked for 412 ms by "GET /report"` */
export function describeWhose(block: Block): string {
  return `${describeLength(block)}${describeWho(block)}`;
}

/** `event loop hangs: blocked for 2.0 s by "GET /report" in buildReport (src/report.ts:42:7)` */
export function describeHang(
  millis: number,
  isStarting: boolean,
  spanName: string | undefined,
  location: CodeLocation | undefined,
  threadState: string | undefined,
  entryName?: string,
  workerThreadId?: number,
): string {
  const thread = workerThreadId === undefined ? '' : ` of worker thread ${workerThreadId}`;
  const entry = entryName === undefined || entryName === spanName ? '' : ` in ${entryName}`;
  const who = spanName === undefined ? '' : ` by "${spanName}"${entry}`;
  // The main thread answers a look unless it is in native code. Of a worker thread nobody may have asked.
  const unseen = workerThreadId === undefined ? ' in native code' : '';
  const place = location ? placeWithShare(location) : threadState ? `${unseen}, ${threadState}` : '';
  const where = spanName === undefined ? place : behind(entry, place);
  const when = isStarting ? ' at start-up' : '';
  return `event loop${thread} hangs: blocked for ${(millis / 1000).toFixed(1)} s${when}${who}${where}`;
}

/** `start-up took 4.0 s, most of it in buildIndex (app.cjs:3:1); not counted` */
export function describeStartUp({ durationMillis, location }: StartUpTime): string {
  const part = location && (location.share < MOST ? percent(location.share, 1) : 'most');
  const where = location ? `, ${part} of it ${describeWhere(location.frame)}` : '';
  return `start-up took ${(durationMillis / 1000).toFixed(1)} s${where}; not counted`;
}

function describeLength({ durationMillis }: Block): string {
  return `event loop blocked for ${Math.round(durationMillis)} ms`;
}

/** Who ran, and in how many callbacks; nothing where it was one under no span. */
function describeWho(block: Block): string {
  const { callbackCount } = block;
  const spans = describeSpans(block);
  if (callbackCount === undefined) return spans && ` by ${spans}`;
  return spans
    ? ` by ${spans}${behind(describeEntry(block), ` in ${callbackCount} callbacks`)}`
    : ` by ${callbackCount} callbacks`;
}

/** ` in GET /report`, of the first that is blamed; nothing where that is said already, or may be of others as well. */
function describeEntry({ entry, blamed, shares, shared }: Block): string {
  if (entry === undefined || entry.name === '') return '';
  const told = [...blamed, ...(shared ? shares : [])].filter(({ span }) => span);
  if (told.some(({ name }) => name === entry.name)) return '';
  const isOne = blamed.filter(({ name }) => name === blamed[0]?.name).length === 1;
  return isOne && (!shared || areOfOneTrace(told)) ? ` in ${entry.name}` : '';
}

/** Two things with "in" are told apart. */
function behind(entry: string, place: string): string {
  return entry !== '' && place.startsWith(' ') ? `,${place}` : place;
}

function describePlace(block: Block, location: CodeLocation): string {
  if (block.callbackCount === undefined || location.share < MOST) {
    return behind(describeEntry(block), placeWithShare(location));
  }
  return `, most of them ${describeFrame(location.frame)}`;
}

/** ` in buildReport (src/report.ts:42:7)`, or `, 42 % of it in …` where that is not the most of it. */
function placeWithShare({ frame, share }: CodeLocation): string {
  return `${share < MOST ? `, ${percent(share, 1)} of it` : ''} ${describeWhere(frame)}`;
}

function percent(part: number, whole: number): string {
  return `${Math.round((part / whole) * 100)} %`;
}

function describeSpans(block: Block): string {
  const { blamed, shares, shared } = block;
  const spans = shares.filter(({ span }) => span);
  // The place says more than "code under no span", which is what it is without an SDK as well.
  if (!blamed.some(({ span }) => span) && (!shared || spans.length === 0)) return '';
  return shared ? describeTogether(block, spans) : listNames(blamed, describeEntry(block));
}

/** No span was long enough alone. */
function describeTogether(block: Block, spans: readonly BlockShare[]): string {
  const { blamed, shares, entry } = block;
  const [first] = blamed;
  if (first?.span === undefined) {
    return `code under no span and ${spans.length > MAX_NAMES ? `${spans.length} spans` : listNames(spans)}`;
  }
  if (spans.length <= 1) {
    return listNames([first, ...shares.filter(({ span }) => span === undefined)], describeEntry(block));
  }
  if (blamed.length > 1) return listNames(blamed, describeEntry(block));
  if (areOfOneTrace([first, ...spans])) {
    const lead = spans.find(({ span }) => span === entry?.span) ?? spans.find(isEntry) ?? first;
    return `${describeRequest(lead, spans)}${describeEntry(block)}`;
  }
  const [most] = groupByName(spans);
  if (most === undefined || most.count === spans.length) return listNames(spans);
  const whose = most.count > 1 ? `${most.count} of them` : 'the longest';
  return `${spans.length} spans, ${whose} "${most.name}"`;
}

/** One request: its entry span, and of what ran in it that with most time. */
function describeRequest(lead: BlockShare, spans: readonly BlockShare[]): string {
  const inside = spans.filter(({ span }) => span !== lead.span);
  const [most] = groupByName(inside);
  if (most === undefined || most.name === lead.name) return `"${lead.name}"`;
  const longest = `${most.count > 1 ? `${most.count} × ` : ''}"${most.name}"`;
  return inside.length === most.count ? `"${lead.name}" with ${longest}` : `"${lead.name}", longest in ${longest}`;
}

function areOfOneTrace(shares: readonly BlockShare[]): boolean {
  return new Set(shares.map(({ span }) => span?.spanContext().traceId)).size === 1;
}

function isEntry({ span }: BlockShare): boolean {
  const { kind } = span as { kind?: unknown };
  return kind === SERVER || kind === CONSUMER;
}

interface Group {
  readonly name: string;
  readonly isSpan: boolean;
  count: number;
  millis: number;
}

/** Shares of one name together, most time first. */
function groupByName(shares: readonly BlockShare[]): Group[] {
  const groups = new Map<string, Group>();
  for (const { span, name, durationMillis } of shares) {
    const group = groups.get(name) ?? { name, isSpan: span !== undefined, count: 0, millis: 0 };
    groups.set(name, group);
    group.count++;
    group.millis += durationMillis;
  }
  return [...groups.values()].sort((a, b) => b.millis - a.millis);
}

/**
 * `4 × "GET /a", "GET /b" and 7 others`; the first is in whose trace the block span is.
 *
 * @param behindFirst what is to be said of that one.
 */
function listNames(shares: readonly BlockShare[], behindFirst = ''): string {
  const isFirst = ({ name }: Group): number => Number(name === shares[0]?.name);
  const groups = groupByName(shares).sort((a, b) => isFirst(b) - isFirst(a));
  const isTooMany = groups.length > MAX_NAMES;
  const named = groups.slice(0, isTooMany ? MAX_NAMES - 1 : MAX_NAMES);
  const texts = named.map(({ name, isSpan, count }, i) =>
    isSpan ? `${count > 1 ? `${count} × ` : ''}"${name}"${i === 0 ? behindFirst : ''}` : 'code under no span',
  );
  const rest = shares.length - named.reduce((sum, { count }) => sum + count, 0);
  if (rest > 0) texts.push(`${rest} others`);
  const last = texts.pop() as string;
  return texts.length > 0 ? `${texts.join(', ')} and ${last}` : last;
}
