// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { childrenOf, factsOf, mainThreadOf } from './proc.js';

const LOOKING_MILLIS = 200;
const POLL_MILLIS = 10;
/** A thread that has so much of a core computes. */
const MOST = 0.5;

/** What is known of a main thread that serves no interrupt. */
export interface NativeCall {
  /** For a person, behind "in native code, ". */
  readonly text: string;
  readonly state: string | undefined;
  readonly cpuShare: number | undefined;
  readonly waitsIn: string | undefined;
  readonly systemCall: string | undefined;
  /** It may be one of these that it waits for. */
  readonly children: readonly { readonly pid: number; readonly command: string }[];
}

export async function nativeCallOf(pid: number): Promise<NativeCall> {
  const before = mainThreadOf(pid);
  const startedAt = performance.now();
  await sleep(LOOKING_MILLIS);
  const after = mainThreadOf(pid);
  const millis = performance.now() - startedAt;
  const cpuShare = before && after ? Math.min((after.cpuMillis - before.cpuMillis) / millis, 1) : undefined;
  const { state, waitsIn, systemCall } = after ?? {};
  const children = childrenOf(pid).flatMap((child) => {
    const facts = factsOf(child);
    return facts === undefined ? [] : [{ pid: child, command: facts.args.join(' ') }];
  });
  const isComputing = cpuShare === undefined ? state === 'R' : cpuShare >= MOST;
  const how = state === 'T' || state === 't' ? 'stopped' : isComputing ? 'computing' : 'asleep';
  const places = [waitsIn && `in the kernel's ${waitsIn}`, systemCall && `system call ${systemCall}`].filter(Boolean);
  const where = how === 'asleep' && places.length > 0 ? ` (${places.join(', ')})` : '';
  const [child] = children;
  const whom = how === 'asleep' && child ? `; it may wait for its child process ${child.pid}: ${child.command}` : '';
  return { text: `${how}${where}${whom}`, state, cpuShare, waitsIn, systemCall, children };
}

/**
 * Whether the main thread waits for events, and for no child process, as `execSync` does in the same way.
 *
 * @param workers child processes that nobody waits for.
 */
export async function isIdle(pid: number, workers: readonly number[] = []): Promise<boolean> {
  if (childrenOf(pid).some((child) => !workers.includes(child))) return false;
  for (let i = 0; i < 3; i++) {
    const thread = mainThreadOf(pid);
    const waits = thread?.state === 'S' && (thread.waitsIn === undefined || /poll/.test(thread.waitsIn));
    if (!waits) return false;
    await sleep(POLL_MILLIS);
  }
  return true;
}
