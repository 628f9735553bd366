// SPDX-License-Identifier: Apache-2.0
import type { Profiler, Runtime } from 'node:inspector';
import { ANONYMOUS, isUserCode } from '../block/call-tree.js';
import { isLoading, markLoading, roleOf } from '../block/plumbing.js';
import type { SampledFrame, StackSample } from '../model.js';
import { toPath } from '../system/to-path.js';
import type { StackFrame } from '../types.js';
import { fromUserCode } from './look.js';

type PositionTicks = readonly Pick<Profiler.PositionTickInfo, 'line' | 'ticks'>[];
export type Profile = Pick<Profiler.Profile, 'nodes' | 'samples' | 'timeDeltas' | 'startTime' | 'endTime'>;

/** A stack that stood for some time, and whether a module was being loaded. */
export interface ProfiledSample extends StackSample {
  readonly isLoading: boolean;
}

interface Reading {
  /** What is ours, where that is not to be seen from the thread that reads. */
  readonly own?: ((frame: StackFrame) => boolean) | undefined;
  /** Where the line in a function is told, the one with most of its time, and not where the function begins: by its file. */
  readonly tellsLine?: (filePath: string) => boolean;
}

/** A profile that comes by way of `Worker.startCpuProfile` has its times in 32 bits. Microseconds. */
export const CLOCK_PERIOD = 2 ** 32;

export function modulo(value: number, period: number): number {
  return ((value % period) + period) % period;
}

/** Every sample of a profile that ended at `endedAt`: how many there are of a function is what vouches for it. */
export function profiledSamples(profile: Profile, endedAt: number, { own, tellsLine }: Reading = {}): ProfiledSample[] {
  const { nodes, samples = [], timeDeltas = [], startTime, endTime } = profile;
  const parents = new Map<number, number>();
  for (const { id, children = [] } of nodes) for (const child of children) parents.set(child, id);
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, toFrame(callFrame)]));
  const lines = new Map(nodes.map(({ id, positionTicks }) => [id, mostOf(positionTicks)]));
  const known = new Map<number, Pick<ProfiledSample, 'stack' | 'isLoading'>>();
  const stackOf = (leaf: number) => {
    const seen = known.get(leaf);
    if (seen !== undefined) return seen;
    const raw: SampledFrame[] = [];
    for (let id: number | undefined = leaf; id !== undefined; id = parents.get(id)) {
      const found = frames.get(id);
      const isInside = id === leaf && found !== undefined && tellsLine?.(found.filePath) === true;
      const frame = isInside ? atLine(found, lines.get(id)) : found;
      if (frame !== undefined) raw.push(callsModule(frame, raw.at(-1)) ? { ...frame, role: 'module caller' } : frame);
    }
    const found = { stack: fromUserCode(markLoading(raw), own), isLoading: isLoading(raw) };
    known.set(leaf, found);
    return found;
  };
  // The first delta counts from the start of the profile; each sample stands for the time ahead of it.
  let at = endedAt - modulo(endTime - startTime, CLOCK_PERIOD) / 1000;
  return samples.map((leaf, i) => {
    const from = at;
    at += (timeDeltas[i] ?? 0) / 1000;
    const rest = { loopCount: 0, callback: 0, isCut: false, accuracy: 'during', isCertain: false } as const;
    return { ...stackOf(leaf), ...rest, from, until: at };
  });
}

/**
 * Whether `frame` is `Module.prototype._compile`, which has a name in a profile only up to Node.js 20: what it calls is the
 * body of a module, a function without a name in whose file nothing is ahead of it.
 */
function callsModule({ functionName, role }: SampledFrame, callee: SampledFrame | undefined): boolean {
  if (role !== 'loader' || functionName !== ANONYMOUS || callee === undefined || !isUserCode(callee)) return false;
  return callee.functionName === ANONYMOUS && callee.startLine === 1 && callee.startColumn === 1;
}

/** The line at which most of the time of a function stood; undefined where none is told. */
function mostOf(ticks: PositionTicks | undefined): number | undefined {
  const sums = new Map<number, number>();
  for (const { line, ticks: count } of ticks ?? []) sums.set(line, (sums.get(line) ?? 0) + count);
  const [most] = [...sums].sort(([, a], [, b]) => b - a);
  return most?.[0];
}

/** `frame` at that line, whose column nobody knows. */
function atLine(frame: SampledFrame, line: number | undefined): SampledFrame {
  if (line === undefined || frame.filePath === '' || line === frame.lineNumber) return frame;
  const place = `${frame.filePath}:${line}:1`;
  const text = frame.functionName === ANONYMOUS ? place : `${frame.functionName} (${place})`;
  return { ...frame, text, lineNumber: line, columnNumber: 1 };
}

/** Undefined for what is no function: `(root)`, `(program)`, `(garbage collector)`. */
function toFrame({ functionName, url, lineNumber, columnNumber }: Runtime.CallFrame): SampledFrame | undefined {
  if (/^\((?:root|program|idle|garbage collector)\)$/.test(functionName) && url === '') return undefined;
  const name = functionName === '' ? ANONYMOUS : functionName;
  const filePath = toPath(url);
  const [line, column] = [lineNumber + 1, columnNumber + 1];
  const place = filePath === '' ? 'native' : `${filePath}:${line}:${column}`;
  const text = functionName === '' && filePath !== '' ? place : `${name} (${place})`;
  return {
    text,
    functionName: name,
    filePath,
    lineNumber: filePath === '' ? 0 : line,
    columnNumber: filePath === '' ? 0 : column,
    startLine: line,
    startColumn: column,
    role: roleOf(text, filePath),
    functionKey: `${filePath}\n${name}\n${line}:${column}`,
  };
}
