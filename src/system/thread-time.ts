// SPDX-License-Identifier: Apache-2.0
import { openSync, readlinkSync, readSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

/** What a thread has got so far, in milliseconds. */
export interface ThreadTime {
  /** On a core. */
  readonly cpuMillis: number;
  /** Ready to run, but without a core; undefined where the operating system does not tell. */
  readonly queuedMillis: number | undefined;
}

interface CpuUsage {
  readonly user: number;
  readonly system: number;
}

/**
 * Returns a function that reads the time of this thread: undefined where that cannot be had.
 *
 * On Linux from schedstat: 3 µs on a descriptor that is kept, also of a single thread, and the only one that knows the
 * run queue. Elsewhere from `process.threadCpuUsage()`, where Node.js has it. `process.cpuUsage()` would not do: it
 * counts all threads.
 */
export function threadTimeReader(): ThreadTimeReader {
  kept ??= ownThreadTimeReader() ?? cpuUsageReader() ?? (() => undefined);
  return kept;
}

export type ThreadTimeReader = () => ThreadTime | undefined;

/** One per thread, however often the instrumentation is enabled: it keeps a descriptor open. */
let kept: ThreadTimeReader | undefined;

/** Where the operating system tells of this thread, for any other thread as well; undefined where it does not. */
export function threadFolder(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  // The main thread's id is that of its process.
  if (isMainThread) return `/proc/self/task/${process.pid}`;
  try {
    return `/proc/${readlinkSync('/proc/thread-self')}`;
  } catch {
    return undefined;
  }
}

/** The same of the thread of `folder`, for any thread; see {@link threadFolder}. */
export function threadTimeReaderOf(folder: string | undefined): ThreadTimeReader | undefined {
  return folder === undefined ? undefined : schedstatReader(folder);
}

/** Each thread has a name for itself, which is looked up as it is opened. */
function ownThreadTimeReader(): ThreadTimeReader | undefined {
  return threadTimeReaderOf(isMainThread ? threadFolder() : '/proc/thread-self');
}

function schedstatReader(folder: string): ThreadTimeReader | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const descriptor = openSync(`${folder}/schedstat`, 'r');
    const text = Buffer.alloc(96);
    const read = (): ThreadTime | undefined => {
      let length: number;
      try {
        length = readSync(descriptor, text, 0, text.length, 0);
      } catch {
        // Closed by an application that closes whatever it finds open.
        return undefined;
      }
      const [cpu, queued] = text.toString('latin1', 0, length).split(' ', 2).map(Number);
      return cpu !== undefined && queued !== undefined && cpu > 0
        ? { cpuMillis: cpu / 1e6, queuedMillis: queued / 1e6 }
        : undefined;
    };
    return read() ? read : undefined;
  } catch {
    return undefined;
  }
}

function cpuUsageReader(): ThreadTimeReader | undefined {
  const { threadCpuUsage } = process as unknown as { threadCpuUsage?: () => CpuUsage };
  if (typeof threadCpuUsage !== 'function') return undefined;
  return () => {
    const { user, system } = threadCpuUsage.call(process);
    return { cpuMillis: (user + system) / 1e3, queuedMillis: undefined };
  };
}
