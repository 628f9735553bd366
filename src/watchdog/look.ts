// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { ANONYMOUS, isUserCode } from '../block/call-tree.js';
import { markLoading, roleOf } from '../block/plumbing.js';
import type { SampledFrame } from '../model.js';
import { callSites, fileOf } from '../system/call-sites.js';
import { isOwnCode } from '../system/own-code.js';
import type { StackFrame } from '../types.js';
import { PACKAGE_NAME } from '../version.js';
import { isForeign } from '../words/code.js';

/**
 * What runs on the blocked thread when the watchdog looks in: like a signal handler, in the midst of other people's
 * code. It only reads, and leaves everything as it was.
 */

/**
 * Compilers and linters walk trees with a hundred calls on the stack, and what the user wrote is at the far end of it. A
 * frame costs about 1 µs.
 */
export const MAX_FRAMES = 200;
/** What calls them from further out is looked for so deep: of that only the application's own functions are told. */
const MAX_DEPTH = 1_000;
const MAX_OUTER_FRAMES = 32;

/** A look takes some 80 frames, and V8 compiles in it what runs for the first time. Words of the stack, 32 KiB. */
export const ROOM_WORDS = 4_096;

/** A stack as the look found it, from the code that was interrupted down. */
export interface RawStack {
  readonly frames: readonly SampledFrame[];
  /** Whether the first frame is a function that had only just been entered, and so was not there before. */
  readonly justEntered: boolean;
  /** Whether it goes on beyond the last frame. */
  readonly isCut: boolean;
  /** The application's own of those beyond it. */
  readonly outer: readonly SampledFrame[];
}

/** Frames that were seen before, by their text: the samples of a block have most of theirs in common. */
export type KnownFrames = Map<string, SampledFrame>;

/**
 * The stack below the caller of this function, whose frames are the first `skip`.
 *
 * `Error.captureStackTrace` and not `util.getCallSites`, which Node.js 20 does not have; and never `error.stack` as it
 * is: with `--enable-source-maps` reading it parses maps for 100 ms, here inside the application.
 */
export function readStack(skip: number, known: KnownFrames = new Map()): RawStack {
  const sites = callSites(readStack, MAX_DEPTH);
  const inner = sites.slice(skip, MAX_FRAMES);
  const [first] = inner;
  return {
    frames: markLoading(inner.map((site) => toFrame(site, known))),
    justEntered: first !== undefined && isJustEntered(first),
    isCut: sites.length >= MAX_FRAMES,
    outer: sites.length > MAX_FRAMES ? ownFrames(sites.slice(MAX_FRAMES), known) : [],
  };
}

/** The outermost: who began it all. */
function ownFrames(sites: readonly NodeJS.CallSite[], known: KnownFrames): SampledFrame[] {
  const frames: SampledFrame[] = [];
  for (let i = sites.length - 1; i >= 0 && frames.length < MAX_OUTER_FRAMES; i--) {
    const site = sites[i] as NodeJS.CallSite;
    if (isForeign({ filePath: fileOf(site) })) continue;
    const frame = toFrame(site, known);
    if (isUserCode(frame) && !isOurs(frame)) frames.unshift(frame);
  }
  return frames;
}

function toFrame(site: NodeJS.CallSite, known: KnownFrames): SampledFrame {
  const text = String(site);
  const seen = known.get(text);
  if (seen !== undefined) return seen;
  const functionName = site.getFunctionName() ?? ANONYMOUS;
  const filePath = fileOf(site);
  const enclosing = entryOf(site);
  const frame = {
    text,
    functionName,
    filePath,
    lineNumber: site.getLineNumber() ?? 0,
    columnNumber: site.getColumnNumber() ?? 0,
    startLine: enclosing.line,
    startColumn: enclosing.column,
    role: roleOf(text, filePath),
    functionKey: `${filePath}\n${functionName}\n${enclosing.line}:${enclosing.column}`,
  };
  known.set(text, frame);
  return frame;
}

/** Where the function of `site` begins; other runtimes' sites do not tell. */
function entryOf(site: NodeJS.CallSite): { readonly line: number; readonly column: number } {
  return { line: site.getEnclosingLineNumber?.() ?? 0, column: site.getEnclosingColumnNumber?.() ?? 0 };
}

/** From the word `function`, or what stands for it, to the parenthesis where V8 puts the position of a function's entry. */
const HEADS = ['', 'function', 'function ', 'function* ', 'async function', 'async function ', 'async function* '];

/**
 * V8 looks for interrupts where functions are entered and where loops go round. One that came during a native call is
 * served at the first such place after it: often the entry of a function that was called only then, which says nothing
 * about the block. Its callers were there all the time.
 */
function isJustEntered(site: NodeJS.CallSite): boolean {
  const { line, column } = entryOf(site);
  if (line !== (site.getLineNumber() ?? 0)) return false;
  const offset = (site.getColumnNumber() ?? 0) - column;
  const name = site.getFunctionName()?.split('.').pop() ?? '';
  return HEADS.some((head) => offset === head.length || offset === head.length + name.length);
}

/** The file that this code is in: this package's, or the bundle of an application. */
export function ownFile(): string {
  const callers = (): NodeJS.CallSite[] => callSites(callers, 1);
  const [site] = callers();
  return site ? fileOf(site) : '';
}

/** Where our files are, where they are ours alone and not in a bundle. */
export const OWN_FOLDER = isPackageFile(ownFile()) ? dirname(ownFile()) + sep : undefined;

function isPackageFile(file: string): boolean {
  try {
    return JSON.parse(readFileSync(join(dirname(file), '../package.json'), 'utf8')).name === PACKAGE_NAME;
  } catch {
    return false;
  }
}

function isOurs(frame: StackFrame): boolean {
  return OWN_FOLDER === undefined ? isOwnCode(frame) : frame.filePath.startsWith(OWN_FOLDER);
}

/** The first `count` of `stack`, and of those beyond them the application's own. */
export function cutTo(count: number, stack: readonly SampledFrame[], { isCut, outer }: Omit<RawStack, 'frames'>) {
  const own = stack.slice(count).filter((frame) => isUserCode(frame) && !isForeign(frame));
  return {
    frames: stack.slice(0, count),
    isCut: isCut || stack.length > count,
    outer: [...own, ...outer].slice(-MAX_OUTER_FRAMES),
  };
}

/**
 * The stack from its first frame of the application on, neither Node.js's own nor ours nor any other plumbing; empty where
 * there is none. An async function that awaits what runs is listed, but is not on the stack.
 *
 * @param own tells which are ours.
 */
export function fromUserCode(frames: readonly SampledFrame[], own = isOurs): readonly SampledFrame[] {
  const first = frames.findIndex((frame) => isUserCode(frame) && !own(frame));
  if (first < 0 || frames[first]?.text.startsWith('async ')) return [];
  const stack = frames.slice(first);
  // We are called by the application and call it, where it ends a span or makes a context active.
  return stack.some(own) ? stack.map((frame) => (own(frame) ? { ...frame, isPlumbing: true } : frame)) : stack;
}
