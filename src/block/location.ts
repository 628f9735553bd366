// SPDX-License-Identifier: Apache-2.0
import type { SampledFrame, StackSample } from '../model.js';
import type { Block, CodeLocation, FunctionTime, StackFrame } from '../types.js';
import { type CallNode, CallTree, isUserCode, type Place, type WeighedStack } from './call-tree.js';
import { outOfPlumbing } from './plumbing.js';

/** What the samples of a block come to. */
type Findings = Pick<Block, 'location' | 'hottest' | 'functions' | 'callbackCount'>;

/**
 * So much of a block's time makes a function the culprit. A half is what it must have; a dozen samples of a block of
 * 300 ms give a function that has less than that this much by chance now and then, and hardly ever more.
 */
const MOST = 0.6;
/** Where none has so much: what makes one the culprit rather than whoever awaits several. */
const HALF = 0.5;
/**
 * One sample says which functions were being called, but not that the innermost is more than one of many that took turns:
 * its caller is certain. It has to do for a block that is over before there is another; where there was none for so long,
 * because the machine gave no core for it, the caller is told. Milliseconds.
 */
const UNSEEN_MILLIS = 60;
const MAX_FUNCTIONS = 5;
/** A function by itself: less of a block is nothing to point at, and one sample is chance. */
const MIN_HOT_SHARE = 0.05;
const MIN_HOT_SAMPLES = 2;
/** With fewer samples it is chance whether they fall into one callback. */
const MIN_PILE_SAMPLES = 3;

/** So many callbacks are worth counting. */
const MANY_CALLBACKS = 10;

const NOTHING: Findings = { location: undefined, hottest: undefined, functions: [], callbackCount: undefined };

/**
 * Where the time of a block went.
 *
 * - The location is the deepest function that most of the time was spent in, with what it called. Where there is none,
 *   because several shared the time, it is that of the largest part, and `share` tells how large that is.
 *   First among those that were on the stack; where none of them has most of it, among those that await them as well.
 * - `functions` is what the time in it divides into: the functions that it called, each with what those called, and what
 *   it did itself; where several share the block, those at whose call the ways part.
 * - `hottest` is the function with most time by itself, if it is another.
 * - `callbackCount` is `callbacks`, where the time was spread over them rather than spent in one.
 *
 * Nothing where for the most part nothing certain was seen: what came to light of the rest would be accused of the whole.
 */
export function findInCode(
  looks: readonly StackSample[],
  { startedAt, endedAt }: { readonly startedAt: number; readonly endedAt: number },
  callbacks = 0,
): Findings {
  const durationMillis = endedAt - startedAt;
  const inside = looks.map((sample) => ({ ...sample, weight: weightOf(sample, startedAt, endedAt) }));
  const samples = inside.filter(({ weight }) => weight > 0);
  const calls = new CallTree(samples, false);
  if (calls.root.weight === 0 || calls.root.weight < calls.weight / 2) return NOTHING;
  const unseenMillis = endedAt - Math.max(...samples.map(({ until }) => until));
  const minSamples = samples.length > 1 || unseenMillis >= UNSEEN_MILLIS ? 2 : 1;
  const called = calls.deepestShared(calls.root, MOST, minSamples) ?? calls.deepestShared(calls.root, HALF, minSamples);
  // Where promise jobs took turns, it may be one function that awaits them all.
  const tree = called ? calls : new CallTree(samples, true);
  const shared = called ?? tree.deepestShared(tree.root, MOST, minSamples);
  const culprit = shared ?? largestPart(calls, minSamples);
  const isMost = culprit.weight >= tree.weight * HALF;
  const toMillis = (weight: number): number => (weight / tree.weight) * durationMillis;
  return {
    location: toLocation(culprit.place, culprit.weight / tree.weight),
    hottest: hottestOf(tree, culprit, toMillis),
    functions: partsOf(isMost ? culprit : calls.root, toMillis),
    callbackCount: callbacks >= MANY_CALLBACKS && isPile(samples) ? callbacks : undefined,
  };
}

/** The same of samples of several stretches. */
export function locate(samples: readonly StackSample[]): CodeLocation | undefined {
  const endedAt = Math.max(...samples.map(({ until }) => until));
  return findInCode(samples, { startedAt: Number.NEGATIVE_INFINITY, endedAt }).location;
}

/** The look before the first one may have been long before the block, and idle time between. */
function weightOf({ from, until }: StackSample, startedAt: number, endedAt: number): number {
  return Math.max(Math.min(until, endedAt) - Math.max(from, startedAt), 0);
}

function largestPart(tree: CallTree, minSamples: number): CallNode {
  const largest = byWeight([...tree.root.children.values()])[0] as CallNode;
  return tree.deepestShared(largest, MOST, minSamples) ?? tree.lastCaller(largest);
}

function byWeight<T extends { readonly weight: number }>(values: T[]): T[] {
  return values.sort((a, b) => b.weight - a.weight);
}

function toLocation({ sample, index }: Place, share: number): CodeLocation {
  const { stack: read, outer = [] } = sample;
  const stack = [...outOfPlumbing(read.slice(index)), ...outer].map(toStackFrame);
  return { frame: stack[0] as StackFrame, stack, accuracy: sample.accuracy, share };
}

function toStackFrame({ functionKey: _, role: __, isPlumbing: ___, ...frame }: SampledFrame): StackFrame {
  return frame;
}

function frameOf({ sample, index }: Place): StackFrame {
  return toStackFrame(sample.stack[index] as SampledFrame);
}

function partsOf(node: CallNode, toMillis: (weight: number) => number): FunctionTime[] {
  const parts = [...node.parts.values()].map(({ weight, selfWeight, place }) => ({ weight, selfWeight, place }));
  const { selfWeight } = node;
  if (selfWeight > 0) parts.push({ weight: selfWeight, selfWeight, place: node.place });
  return byWeight(parts)
    .slice(0, MAX_FUNCTIONS)
    .map((part) => ({
      frame: frameOf(part.place),
      durationMillis: toMillis(part.weight),
      selfMillis: toMillis(part.selfWeight),
    }));
}

interface HotFunction {
  readonly key: string;
  weight: number;
  samples: number;
  frame: StackFrame;
  most: number;
}

function hottestOf(tree: CallTree, culprit: CallNode, toMillis: (weight: number) => number): FunctionTime | undefined {
  const functions = new Map<string, HotFunction>();
  for (const sample of tree.samples) {
    const leaf = sample.stack.find(isUserCode);
    if (leaf === undefined) continue;
    const { functionKey: key } = leaf;
    const hot = functions.get(key) ?? { key, weight: 0, samples: 0, frame: leaf, most: 0 };
    functions.set(key, hot);
    hot.weight += sample.weight;
    hot.samples++;
    if (sample.weight > hot.most) {
      hot.most = sample.weight;
      hot.frame = toStackFrame(leaf);
    }
  }
  const [hot] = byWeight([...functions.values()]);
  if (hot === undefined || hot.key === culprit.key || hot.samples < MIN_HOT_SAMPLES) return undefined;
  if (hot.weight < tree.weight * MIN_HOT_SHARE) return undefined;
  const selfMillis = toMillis(hot.weight);
  return { frame: hot.frame, durationMillis: toMillis(inclusiveOf(tree, hot.key)), selfMillis };
}

function inclusiveOf(tree: CallTree, key: string): number {
  const through = tree.samples.filter(({ stack }) => stack.some((frame) => frame.functionKey === key));
  return through.reduce((sum, { weight }) => sum + weight, 0);
}

/** Whether no callback was seen for most of the time. */
function isPile(samples: readonly (StackSample & WeighedStack)[]): boolean {
  if (samples.length < MIN_PILE_SAMPLES) return false;
  const callbacks = new Map<number, number>();
  let total = 0;
  for (const { callback, weight } of samples) {
    callbacks.set(callback, (callbacks.get(callback) ?? 0) + weight);
    total += weight;
  }
  return Math.max(...callbacks.values()) < total / 2;
}
