// SPDX-License-Identifier: Apache-2.0
import { isMainThread } from 'node:worker_threads';

interface Permission {
  has(scope: string): boolean;
}

const permission = (process as unknown as { permission?: Permission }).permission;

/** Why the watchdog cannot run here; undefined where it can. */
export function whyNotWatch(): string | undefined {
  if (!isMainThread) return 'it watches the main thread, and this is a worker';
  if (permission && !permission.has('worker')) return '--permission forbids workers (--allow-worker)';
  return undefined;
}

/**
 * Why the blocked thread cannot be looked at; undefined where it can. To be asked ahead of the first look: with
 * `--permission --allow-worker` but without `--allow-inspector`, `connectToMainThread()` aborts the process in C++.
 */
export function whyNotLook(): string | undefined {
  if (!process.features.inspector) return 'this Node.js was built without the inspector';
  if (permission && !permission.has('inspector')) return '--permission forbids the inspector (--allow-inspector)';
  return undefined;
}
