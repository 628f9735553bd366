// SPDX-License-Identifier: Apache-2.0
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { BroadcastChannel, type Worker } from 'node:worker_threads';
import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import { startTimer, stopTimer } from '../system/timers.js';
import { type Answer, type Ask, PROFILER_CHANNEL, profileChannel, type ToProfiler } from './messages.js';
import { canProfileThreads } from './surroundings.js';

/** Where Node.js tells of each thread that is started. */
const THREADS_CHANNEL = 'worker_threads';
/**
 * A profile that is always there takes next to no samples: V8 wakes the thread for each, and libuv takes no account of what
 * it had slept by then. The most that Node.js takes. Milliseconds.
 */
const KEPT_INTERVAL_MILLIS = 2_000_000;
/** How often V8 takes a stack of a blocked thread. Milliseconds. */
const INTERVAL_MILLIS = 5;
/** A profile whose end nobody asks for is ended. Milliseconds. */
const MAX_PROFILE_MILLIS = 5_000;

interface ProfileHandle {
  stop(): Promise<string>;
}
/** From Node.js 26 on. */
type ProfiledWorker = Worker & {
  startCpuProfile(options: { readonly sampleInterval: number }): Promise<ProfileHandle>;
};

/**
 * Looks at worker threads that this thread has started, for their watchdogs, while they block: by V8's profiler, which Node.js
 * starts and stops in the very thread on behalf of who has started it. No code runs there, so that nothing of it can be lost:
 * `terminate()` above all, which an evaluation by the inspector would swallow.
 *
 * V8 does not know the code of a loop that was compiled while it ran, where no profile was there by then. One is therefore
 * kept for as long as the thread lives; what looks is a second one.
 */
export class ThreadProfiler {
  private readonly _workers = new Map<number, WeakRef<Worker>>();
  private readonly _threads = new Map<number, ProfiledThread>();
  private _requests: BroadcastChannel | undefined;

  /** Does nothing where threads cannot be profiled. Threads that were started before are not known. */
  start(): void {
    if (!canProfileThreads()) return;
    context.with(ROOT_CONTEXT, () => {
      this._requests = open(PROFILER_CHANNEL, ({ type, threadId }: ToProfiler) => {
        if (type === 'keep') this._keep(threadId);
        else this._leave(threadId);
      });
    });
    subscribe(THREADS_CHANNEL, this._onWorker);
  }

  stop(): void {
    if (this._requests === undefined) return;
    unsubscribe(THREADS_CHANNEL, this._onWorker);
    this._requests.close();
    this._requests = undefined;
    for (const thread of this._threads.values()) thread.leave();
    this._threads.clear();
    this._workers.clear();
  }

  private readonly _onWorker = (message: unknown): void => {
    const { worker } = message as { readonly worker: Worker };
    this._forgetEnded();
    this._workers.set(worker.threadId, new WeakRef(worker));
  };

  private _keep(threadId: number): void {
    this._forgetEnded();
    const worker = this._workers.get(threadId)?.deref();
    // Another thread has started it; or its watchdog was started anew.
    if (worker === undefined || this._threads.has(threadId)) return;
    context.with(ROOT_CONTEXT, () =>
      this._threads.set(threadId, new ProfiledThread(worker as ProfiledWorker, threadId)),
    );
  }

  private _leave(threadId: number): void {
    this._threads.get(threadId)?.leave();
    this._threads.delete(threadId);
  }

  private _forgetEnded(): void {
    for (const [id, worker] of this._workers) {
      if (worker.deref()?.threadId === id) continue;
      this._workers.delete(id);
      this._leave(id);
    }
  }
}

/** In a thread: asks who has started it to be ready to look, or that nobody will ask any more. */
export function askForProfiles(message: ToProfiler): void {
  const channel = new BroadcastChannel(PROFILER_CHANNEL);
  channel.postMessage(message);
  channel.close();
}

/** The profiles of a thread. What is asked of one that has ended fails, and is not answered. */
class ProfiledThread {
  private readonly _channel: BroadcastChannel;
  private readonly _kept: Promise<ProfileHandle>;
  private _look: Promise<ProfileHandle> | undefined;
  private _deadline: NodeJS.Timeout | undefined;

  constructor(
    private readonly _worker: ProfiledWorker,
    threadId: number,
  ) {
    this._channel = open(profileChannel(threadId), ({ type }: Ask) => {
      if (type === 'begin') this._begin();
      else if (type === 'end') this._end((profile) => this._tell({ type: 'profile', profile }));
      else this._tellReady();
    });
    this._kept = _worker.startCpuProfile({ sampleInterval: KEPT_INTERVAL_MILLIS });
    this._tellReady();
  }

  /** Takes off what was put on. */
  leave(): void {
    this._end(ignore);
    this._kept.then((handle) => handle.stop()).catch(ignore);
    this._channel.close();
  }

  private _tellReady(): void {
    this._kept.then(() => this._tell({ type: 'ready' }), ignore);
  }

  private _begin(): void {
    if (this._look !== undefined) return;
    this._look = this._worker.startCpuProfile({ sampleInterval: INTERVAL_MILLIS });
    this._look.catch(ignore);
    this._deadline = startTimer(() => this._end(ignore), MAX_PROFILE_MILLIS).unref();
  }

  private _end(onProfile: (profile: string | undefined) => void): void {
    const look = this._look;
    this._look = undefined;
    stopTimer(this._deadline);
    if (look === undefined) onProfile(undefined);
    else look.then((handle) => handle.stop()).then(onProfile, () => onProfile(undefined));
  }

  private _tell(message: Answer): void {
    try {
      this._channel.postMessage(message);
    } catch {
      // Closed meanwhile.
    }
  }
}

function open<T>(name: string, onMessage: (message: T) => void): BroadcastChannel {
  const channel = new BroadcastChannel(name);
  channel.onmessage = (event: unknown) => onMessage((event as { readonly data: T }).data);
  channel.unref();
  return channel;
}

function ignore(): void {}
