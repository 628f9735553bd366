// SPDX-License-Identifier: Apache-2.0
import type { CodeLocation, StackFrame } from '../types.js';

/** One look of the watchdog at the blocked thread that found something to say. */
export interface Probe {
  /** `loopCount` of the iteration that it looked at. */
  readonly loopCount: number;
  /** From the first frame of the application down; empty where nothing certain was seen. */
  readonly stack: readonly StackFrame[];
  readonly accuracy: 'during' | 'after';
  /** The part of the block that it vouches for, in milliseconds: the time since the probe before. */
  readonly weight: number;
}

interface Candidate {
  weight: number;
  best: Probe;
}

/**
 * The function that most of a block was seen in, and in it the line; undefined without a probe, and where for the most
 * part nothing certain was seen: what came to light of the rest would be accused of the whole.
 */
export function locate(probes: readonly Probe[]): CodeLocation | undefined {
  const heaviest = heaviestBy(probes, functionKey);
  if (heaviest === undefined || heaviest.stack.length === 0) return undefined;
  const key = functionKey(heaviest);
  const ofFunction = probes.filter((probe) => functionKey(probe) === key);
  const best = heaviestBy(ofFunction, ({ stack }) => `${stack[0]?.lineNumber}`) as Probe;
  return { frame: best.stack[0] as StackFrame, stack: best.stack, accuracy: best.accuracy };
}

function functionKey({ stack: [frame] }: Probe): string {
  return frame === undefined ? '' : `${frame.filePath}\n${frame.functionName}`;
}

/** Of the group of probes that weighs most, the heaviest; one that saw it `during` the block ahead of one `after`. */
function heaviestBy(probes: readonly Probe[], keyOf: (probe: Probe) => string): Probe | undefined {
  const groups = new Map<string, Candidate>();
  for (const probe of probes) {
    const key = keyOf(probe);
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, { weight: probe.weight, best: probe });
    } else {
      group.weight += probe.weight;
      if (isBetter(probe, group.best)) group.best = probe;
    }
  }
  let heaviest: Candidate | undefined;
  for (const group of groups.values()) {
    if (heaviest === undefined || group.weight > heaviest.weight) heaviest = group;
  }
  return heaviest?.best;
}

function isBetter(probe: Probe, than: Probe): boolean {
  if (probe.accuracy !== than.accuracy) return probe.accuracy === 'during';
  return probe.weight > than.weight;
}
