// SPDX-License-Identifier: Apache-2.0
import { isMainThread, Worker } from 'node:worker_threads';

interface Permission {
  has(scope: string): boolean;
}

const permission = (process as unknown as { permission?: Permission }).permission;

/** Why no watchdog can run here; undefined where one can. */
export function whyNotWatch(): string | undefined {
  if (permission && !permission.has('worker')) return '--permission forbids workers (--allow-worker)';
  return undefined;
}

/**
 * Why the blocked thread cannot be looked at; undefined where it can. To be asked ahead of the first look: with
 * `--permission --allow-worker` but without `--allow-inspector`, `connectToMainThread()` aborts the process in C++.
 */
export function whyNotLook(): string | undefined {
  // A session reaches the main thread, and from there on all threads at once (the NodeWorker domain): see docs/how-it-works.md.
  if (!isMainThread) return 'only the main thread is looked at, and this is a worker thread';
  if (!process.features.inspector) return 'this Node.js was built without the inspector';
  if (permission && !permission.has('inspector')) return '--permission forbids the inspector (--allow-inspector)';
  return undefined;
}

/**
 * Whether the profiler can be had in threads that this one has started, and with an interval of our own: from Node.js 26 on.
 * Others take any options, or a name, and wake the thread each millisecond.
 */
export function canProfileThreads(): boolean {
  const { startCpuProfile } = Worker.prototype as { startCpuProfile?(options: object): unknown };
  if (typeof startCpuProfile !== 'function') return false;
  try {
    const answer = startCpuProfile.call({}, { sampleInterval: -1 });
    if (answer instanceof Promise) answer.catch(() => {});
    return false;
  } catch (error) {
    return error instanceof RangeError;
  }
}
