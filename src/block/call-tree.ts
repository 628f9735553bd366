// SPDX-License-Identifier: Apache-2.0
import type { SampledFrame } from '../model.js';

/** A stack that stood for some time. */
export interface WeighedStack {
  /** From the code that ran outwards. */
  readonly stack: readonly SampledFrame[];
  /** Whether it had more frames than were read: its outermost is not where the callback began. */
  readonly isCut: boolean;
  /** Of those that were not, the application's own. */
  readonly outer?: readonly SampledFrame[];
  readonly accuracy: 'during' | 'after';
  /** Whether one is as good as many. */
  readonly isCertain: boolean;
  /** Milliseconds. */
  readonly weight: number;
}

/** Where a stack stands in a node: at the innermost of its calls. */
export interface Place {
  weight: number;
  sample: WeighedStack;
  index: number;
}

/** The time of a function: in milliseconds, with what it called and by itself. */
class FunctionWeight {
  weight = 0;
  selfWeight = 0;
  private readonly _places = new Map<number, Place>();

  /** The line at which most of its time stood. */
  get place(): Place {
    return [...this._places.values()].reduce((most, place) => (place.weight > most.weight ? place : most));
  }

  /** It was called at `index` of the stack. */
  addPlace(sample: WeighedStack, index: number): void {
    const { lineNumber } = sample.stack[index] as SampledFrame;
    const place = this._places.get(lineNumber);
    if (place === undefined) {
      this._places.set(lineNumber, { weight: sample.weight, sample, index });
      return;
    }
    place.weight += sample.weight;
    if (isBetter(sample, place.sample)) {
      place.sample = sample;
      place.index = index;
    }
  }
}

/** A function as it was reached by one way of calls, with all stacks that passed through it. */
export class CallNode extends FunctionWeight {
  readonly children = new Map<string, CallNode>();
  /** What its innermost call was in the midst of: each stack in one of them, or in none. */
  readonly parts = new Map<string, FunctionWeight>();
  samples = 0;
  /** How many frames the stacks went on beyond it, times their weight. */
  beyond = 0;

  constructor(
    readonly key: string,
    readonly parent: CallNode | undefined,
  ) {
    super();
  }

  descendants(): CallNode[] {
    return [...this.children.values()].flatMap((child) => [child, ...child.descendants()]);
  }
}

/**
 * The samples of a block as a tree of calls, from the outermost function in. Recursion is folded: a function that calls
 * itself, directly or by way of others, goes back to its own node, so that a walk over a tree of any depth is the few
 * functions that it consists of. Node.js's own frames are left out, since one function is called through many of them.
 */
export class CallTree {
  readonly root = new CallNode('', undefined);
  /** Milliseconds of all samples, also of those that saw nothing certain. */
  readonly weight: number;

  /** @param _withAsync whether functions count that are not on the stack, but await what is. */
  constructor(
    readonly samples: readonly WeighedStack[],
    private readonly _withAsync: boolean,
  ) {
    this.weight = samples.reduce((sum, { weight }) => sum + weight, 0);
    // Where a cut stack belongs the others have to tell.
    for (const sample of samples) if (!sample.isCut) this._add(sample);
    for (const sample of samples) if (sample.isCut) this._add(sample);
  }

  /**
   * The deepest function below `from` that has at least `share` of its time, seen by `minSamples`: of those, the one
   * nearest to where the stacks end. Undefined where none has.
   */
  deepestShared(from: CallNode, share: number, minSamples: number): CallNode | undefined {
    const enough = (from === this.root ? this.weight : from.weight) * share;
    const shared = from.descendants().filter(({ weight, samples }) => weight >= enough && samples >= minSamples);
    if (shared.length === 0) return undefined;
    return shared.reduce((best, node) => (node.beyond / node.weight < best.beyond / best.weight ? node : best));
  }

  /** The function below which, on the way of the most time, only one more is called. */
  lastCaller(from: CallNode): CallNode {
    const children = [...from.children.values()].sort((a, b) => b.weight - a.weight);
    const [next] = children;
    return next === undefined || next.children.size === 0 ? from : this.lastCaller(next);
  }

  private _add(sample: WeighedStack): void {
    const { stack, weight } = sample;
    const indexes = stack.flatMap((frame, index) => (this._counts(frame) ? [index] : []));
    const outermost = indexes.at(-1);
    if (outermost === undefined) return;
    let node = sample.isCut ? this._parentOf((stack[outermost] as SampledFrame).functionKey) : this.root;
    /** Of each node on the way the innermost call. */
    const passed = new Map<CallNode, number>();
    for (let above: CallNode | undefined = node; above !== undefined; above = above.parent) passed.set(above, -1);
    for (let i = indexes.length - 1; i >= 0; i--) {
      node = enter(node, (stack[indexes[i] as number] as SampledFrame).functionKey);
      passed.set(node, i);
    }
    node.selfWeight += weight;
    for (const [via, at] of passed) {
      const i = at < 0 ? indexes.length : at;
      via.weight += weight;
      via.samples += sample.isCertain ? Number.POSITIVE_INFINITY : 1;
      via.beyond += weight * i;
      if (at >= 0) via.addPlace(sample, indexes[i] as number);
      if (i > 0) addPart(via, sample, indexes[i - 1] as number, i === 1);
    }
  }

  private _counts(frame: SampledFrame): boolean {
    return isUserCode(frame) && (this._withAsync || !frame.text.startsWith('async '));
  }

  /** The node below which a stack goes on whose outermost known frame is this function. */
  private _parentOf(key: string): CallNode {
    const known = this.root.descendants().filter((node) => node.key === key);
    if (known.length === 0) return this.root;
    return known.reduce((most, node) => (node.weight > most.weight ? node : most)).parent as CallNode;
  }
}

function enter(from: CallNode, key: string): CallNode {
  for (let node: CallNode | undefined = from; node !== undefined; node = node.parent) if (node.key === key) return node;
  const known = from.children.get(key);
  if (known !== undefined) return known;
  const child = new CallNode(key, from);
  from.children.set(key, child);
  return child;
}

function addPart(node: CallNode, sample: WeighedStack, index: number, isLeaf: boolean): void {
  const { functionKey } = sample.stack[index] as SampledFrame;
  const part = node.parts.get(functionKey) ?? new FunctionWeight();
  node.parts.set(functionKey, part);
  part.weight += sample.weight;
  if (isLeaf) part.selfWeight += sample.weight;
  part.addPlace(sample, index);
}

function isBetter(sample: WeighedStack, than: WeighedStack): boolean {
  if (sample.accuracy !== than.accuracy) return sample.accuracy === 'during';
  return sample.weight > than.weight;
}

/** What a function is called that has no name. */
export const ANONYMOUS = '<anonymous>';

/** Of the application or its libraries, and not only passing calls on. */
export function isUserCode({ filePath, isPlumbing }: SampledFrame): boolean {
  return filePath !== '' && !filePath.startsWith('node:') && isPlumbing !== true;
}
