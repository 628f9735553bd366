// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { ANONYMOUS, isUserCode } from '../block/call-tree.js';
import { locate } from '../block/location.js';
import { markLoading, roleOf } from '../block/plumbing.js';
import type { SampledFrame, StackSample } from '../model.js';
import { toPath } from '../system/to-path.js';
import type { CodeLocation } from '../types.js';
import { PACKAGE_NAME } from '../version.js';
import { resolveLocation } from '../watchdog/worker/source-maps.js';
import type { InspectorClient } from './inspector-client.js';
import { LOOK_SOURCE } from './look-source.js';
import { type InsideFrame, type InsideLook, type InsideSpan, SCRIPT } from './messages.js';
import { mainThreadOf } from './proc.js';

const LOOK_INTERVAL_MILLIS = 50;
/** So long a loop has to stand still to be called blocked by a snapshot; one that turns is looked at for as long. Milliseconds. */
const LOOKING_MILLIS = 500;
/** An answer that came later was held up by native code. */
const PROMPT_MILLIS = 25;

const LOOK = asExpression(LOOK_SOURCE, 'return JSON.stringify(exports.look());');

/** What was seen of the process. */
export interface Snapshot {
  /** Whether the loop stood still all the time. */
  readonly isBlocked: boolean;
  /** For how long it was seen to. Milliseconds. */
  readonly blockedMillis: number;
  /** Part of the time in which the loop did not wait for events. */
  readonly busyShare: number;
  /** Of the main thread, while it was looked at: parts of that time. Undefined where the operating system does not tell. */
  readonly cpuShare: number | undefined;
  /** The same of the time in which it was ready to run, and had none. */
  readonly queuedShare: number | undefined;
  readonly location: CodeLocation | undefined;
  readonly span: InsideSpan | undefined;
  readonly hasOpenTelemetry: boolean;
  readonly isWatched: boolean;
}

/** As an expression whose value `last` returns: nothing of it is left in the global scope. */
export function asExpression(source: string, last: string): string {
  const modules = 'Object.assign((id) => process.getBuiltinModule(id), {})';
  return `(function (exports, require, module) {${source}\n${last}\n})({}, ${modules}, {})\n//# sourceURL=${SCRIPT}`;
}

/** @throws NoAnswer, also in the midst. */
export async function takeSnapshot(client: InspectorClient, pid: number, deadline: number): Promise<Snapshot> {
  const looks: Looked[] = [];
  const before = mainThreadOf(pid);
  const startedAt = performance.now();
  do {
    const askedAt = performance.now();
    const answer = await client.evaluate(LOOK, Math.max(deadline - askedAt, 1));
    const answeredAt = performance.now();
    looks.push({ look: JSON.parse(answer as string) as InsideLook, askedAt, answeredAt });
    await sleep(LOOK_INTERVAL_MILLIS);
    // One alone does not tell whether the loop turns.
  } while (looks.length < 2 || performance.now() - startedAt < LOOKING_MILLIS);
  const after = mainThreadOf(pid);
  const lookedMillis = performance.now() - startedAt;
  const { look: first } = looks[0] as Looked;
  const { look: last } = looks.at(-1) as Looked;
  const isBlocked = first.loopCount === last.loopCount && last.idleMillis - first.idleMillis < 1 && last.at > first.at;
  const busyMillis = last.at - first.at;
  const location = locationOf(looks);
  const span = [...looks].reverse().find(({ look }) => look.span !== undefined)?.look.span;
  return {
    isBlocked: isBlocked && location !== undefined,
    blockedMillis: lookedMillis,
    busyShare: busyMillis > 0 ? 1 - Math.min((last.idleMillis - first.idleMillis) / busyMillis, 1) : 0,
    cpuShare: before && after ? Math.min((after.cpuMillis - before.cpuMillis) / lookedMillis, 1) : undefined,
    queuedShare: before && after ? Math.min((after.queuedMillis - before.queuedMillis) / lookedMillis, 1) : undefined,
    // Maps are read here, and not in the process.
    location: location && resolveLocation(location),
    span: isBlocked ? last.span : span,
    hasOpenTelemetry: last.hasOpenTelemetry,
    isWatched: last.isWatched,
  };
}

interface Looked {
  readonly look: InsideLook;
  readonly askedAt: number;
  readonly answeredAt: number;
}

/** Where most of the looks found it that found it anywhere. */
function locationOf(looks: readonly Looked[]): CodeLocation | undefined {
  const samples = looks.flatMap(({ look, askedAt, answeredAt }): StackSample[] => {
    const stack = fromUserCode(markLoading(look.frames.map(toFrame)));
    if (stack.length === 0) return [];
    const accuracy = answeredAt - askedAt <= PROMPT_MILLIS ? 'during' : 'after';
    const from = look.at - LOOK_INTERVAL_MILLIS;
    const { loopCount, isCut, at: until } = look;
    return [{ loopCount, callback: loopCount, stack, isCut, accuracy, isCertain: false, from, until }];
  });
  return samples.length === 0 ? undefined : locate(samples);
}

/** Empty where only Node.js itself was there. */
function fromUserCode(frames: readonly SampledFrame[]): readonly SampledFrame[] {
  const first = frames.findIndex(isUserCode);
  return first < 0 || frames[first]?.text.startsWith('async ') ? [] : frames.slice(first);
}

function toFrame({ text, functionName, file, line, column, startLine, startColumn }: InsideFrame): SampledFrame {
  const filePath = toPath(file);
  const name = functionName ?? ANONYMOUS;
  return {
    text,
    functionName: name,
    filePath,
    lineNumber: line,
    columnNumber: column,
    startLine,
    startColumn,
    role: isOurs(file, text) ? 'internal' : roleOf(text, filePath),
    functionKey: `${filePath}\n${name}\n${startLine}:${startColumn}`,
  };
}

/** The script that looks, or the package where it is in the process already. */
function isOurs(file: string, text: string): boolean {
  return text.includes(SCRIPT) || new RegExp(`[/\\\\]${PACKAGE_NAME}[/\\\\]dist[/\\\\]`).test(file);
}
