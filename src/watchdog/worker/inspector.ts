// SPDX-License-Identifier: Apache-2.0
import { Field, jobsOf, type SharedMemory, Slot } from '../../system/shared-memory.js';
import { LOOK_KEY } from '../messages.js';
import type { Looker, OnSample } from './looker.js';

/** Failing so often in a row, looks are given up: another realm, another thread, an inspector that does not answer. */
const MAX_FAILURES = 3;
/**
 * How long this thread stays after a session was closed. The main thread still tells it that it has closed its own side: to
 * a thread that is just being torn down, with `shared_from_this()` of what has no owner any more, which aborts the whole
 * process (5 of 100 times on 20). Milliseconds.
 * https://github.com/nodejs/node/blob/v20.20.0/src/inspector/main_thread_interface.cc
 */
const LINGER_MILLIS = 200;

/**
 * Always the same: V8 keeps whatever it has compiled for a while. An error is caught where it is thrown: to describe it,
 * the inspector would format its stack, with what the application may have put on `Error.prepareStackTrace`.
 */
const EVALUATE_LOOK = {
  expression: `try { globalThis[Symbol.for(${JSON.stringify(LOOK_KEY)})]?.() } catch { '' }`,
  returnByValue: true,
  silent: true,
};

interface Session {
  connectToMainThread(): void;
  post(method: string, parameters: object, callback: (error: Error | null, answer?: Answer) => void): void;
  disconnect(): void;
}

interface Answer {
  readonly result?: { readonly value?: unknown; readonly className?: string };
}

/** Looks at the main thread: connects, asks, leaves. A session that stays is seen at exit, and costs. */
export class Inspector implements Looker {
  private _session: Session | undefined;
  private _askedAt = 0;
  private _failures = 0;

  constructor(
    private readonly _memory: SharedMemory,
    private readonly _now: () => number,
    /** For how long the main thread was ready to run and had no core, so far. */
    private readonly _mainQueuedMillis: () => number,
    private readonly _onBlind: (reason: string) => void,
  ) {}

  get isBlind(): boolean {
    return this._failures >= MAX_FAILURES;
  }

  get isLooking(): boolean {
    return this._session !== undefined;
  }

  /** For how long the look that is under way has had no answer; 0 where none is. */
  waitsFor(time: number): number {
    return this._session === undefined ? 0 : time - this._askedAt;
  }

  /** Asks the blocked thread for its stack; `onSample` is called once it answers, which a native call can put off for ever. */
  look(onSample: OnSample): void {
    if (this._session !== undefined || this.isBlind) return;
    const { slots, fields } = this._memory;
    Atomics.store(slots, Slot.SessionOpen, 1);
    // In this order, and the other way round in the main thread: one of the two sees the other.
    if (Atomics.load(slots, Slot.Stop) === 1) {
      this._closed();
      return;
    }
    try {
      const { Session } = process.getBuiltinModule('node:inspector') as unknown as { Session: new () => Session };
      const session = new Session();
      session.connectToMainThread();
      this._session = session;
      Atomics.add(slots, Slot.Sessions, 1);
      Atomics.store(slots, Slot.JobsAsked, jobsOf(slots));
      fields[Field.QueuedAsked] = this._mainQueuedMillis();
      this._askedAt = this._now();
      fields[Field.AskedAt] = this._askedAt;
      session.post('Runtime.evaluate', EVALUATE_LOOK, (error, answer) => {
        // What is thrown in here, Node.js prints as a warning.
        try {
          if (this._session !== session) return;
          this._leave();
          const { value: text, className } = answer?.result ?? {};
          // The stack is full: that says nothing about the next look.
          if (className === 'RangeError') return;
          if (error || typeof text !== 'string') {
            this._fail(error?.message ?? 'the main thread has no answer');
            return;
          }
          this._failures = 0;
          if (text !== '') onSample(JSON.parse(text));
        } catch (failure) {
          this._fail(String(failure));
        }
      });
    } catch (error) {
      this._leave();
      this._fail(String(error));
    }
  }

  /** Closes a session that may be open. This thread is about to end. */
  leaveForGood(): void {
    this._leave();
    setTimeout(() => {}, LINGER_MILLIS);
  }

  private _leave(): void {
    const session = this._session;
    this._session = undefined;
    try {
      session?.disconnect();
    } catch {
      // Not connected any more.
    }
    this._closed();
  }

  private _closed(): void {
    Atomics.store(this._memory.slots, Slot.SessionOpen, 0);
    Atomics.notify(this._memory.slots, Slot.SessionOpen);
  }

  private _fail(reason: string): void {
    if (++this._failures === MAX_FAILURES) this._onBlind(`looking at the main thread fails: ${reason}`);
  }
}
