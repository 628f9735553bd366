// SPDX-License-Identifier: Apache-2.0
import type { CodeLocation, StackFrame } from '../types.js';

/** One look of the watchdog at the blocked thread that found something to say. */
export interface Probe {
  /** `loopCount` of the iteration that it looked at. */
  readonly loopCount: number;
  /** From the first frame of the application down; never empty. */
  readonly stack: readonly StackFrame[];
  readonly accuracy: 'during' | 'after';
  /** The part of the block that it vouches for, in milliseconds: the time since the probe before. */
  readonly weight: number;
}

interface Candidate {
  weight: number;
  best: Probe;
}

/** The function that most of a block was seen in, and in it the line; undefined without a probe. */
export function locate(probes: readonly Probe[]): CodeLocation | undefined {
  const heaviest = heaviestBy(probes, (frame) => `${frame.filePath}\n${frame.functionName}`);
  if (heaviest === undefined) return undefined;
  const { filePath, functionName } = heaviest.stack[0] as StackFrame;
  const ofFunction = probes.filter(({ stack: [frame] }) => {
    return frame?.filePath === filePath && frame.functionName === functionName;
  });
  const best = heaviestBy(ofFunction, (frame) => `${frame.lineNumber}`) as Probe;
  return { frame: best.stack[0] as StackFrame, stack: best.stack, accuracy: best.accuracy };
}

/** Of the group of probes that weighs most, the heaviest; one that saw it `during` the block ahead of one `after`. */
function heaviestBy(probes: readonly Probe[], keyOf: (frame: StackFrame) => string): Probe | undefined {
  const groups = new Map<string, Candidate>();
  for (const probe of probes) {
    const key = keyOf(probe.stack[0] as StackFrame);
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
