// SPDX-License-Identifier: Apache-2.0
import { BroadcastChannel } from 'node:worker_threads';
import type { OnSeen, StackSample } from '../../model.js';
import { Field, processClock, type SharedMemory } from '../../system/shared-memory.js';
import { type Answer, type Ask, profileChannel, type SentSample } from '../messages.js';
import { CLOCK_PERIOD, modulo, type Profile, profiledSamples } from '../profile-samples.js';
import type { Looker, OnSample } from './looker.js';
import { hasMap } from './source-maps.js';

/** A profile under way is read so often: only then is known what it has seen. Milliseconds. */
const PROFILE_MILLIS = 100;
/** How soon it is noticed that the block is over. Milliseconds. */
const ALERT_MILLIS = 10;
/** What is kept for those who ask behind a block. Milliseconds, and samples. */
const KEPT_MILLIS = 60_000;
const MAX_KEPT_SAMPLES = 2_000;
/** Who has started the thread may be busy: an answer is waited for so long, and taken later as well. Milliseconds. */
const MAX_ANSWER_MILLIS = 5_000;

interface UnderWay {
  readonly beatAt: number;
  readonly begunAt: number;
  readonly onSample: OnSample;
  readonly timer: NodeJS.Timeout;
  endAskedAt: number | undefined;
}

/** Who wants to know what was seen from then to then. */
interface Asker {
  readonly from: number;
  readonly until: number;
  readonly onSeen: OnSeen;
}

/** Looks at a worker thread, by profiles that the thread takes which has started it; see `ThreadProfiler`. */
export class ProfileLooks implements Looker {
  private readonly _channel: BroadcastChannel;
  private _isReady = false;
  private _readyAt: number | undefined;
  private _isUnknown = false;
  private _underWay: UnderWay | undefined;
  private _samples: StackSample[] = [];
  private _seenUntil = 0;
  private _askers: Asker[] = [];

  constructor(
    threadId: number,
    /** When it was asked for: to be ready, V8 notes all functions that there are, in the midst of whatever runs. */
    private readonly _since: number,
    private readonly _memory: SharedMemory,
    /** The watched thread's clock. */
    private readonly _now: () => number,
    private readonly _ownFolder: string | undefined,
    private readonly _onBlind: (reason: string) => void,
  ) {
    this._channel = new BroadcastChannel(profileChannel(threadId));
    this._channel.onmessage = (event: unknown) => this._receive((event as { readonly data: Answer }).data);
    this._channel.unref();
    this._ask({ type: 'ready?' });
    setTimeout(() => this._giveUp(), MAX_ANSWER_MILLIS).unref();
  }

  /** Also where it is still to be known whether one can be: answers come only where this thread's event loop turns. */
  get isLooking(): boolean {
    return this._underWay !== undefined || (!this._isReady && !this._isUnknown);
  }

  waitsFor(time: number): number {
    const askedAt = this._underWay?.endAskedAt;
    return askedAt === undefined ? 0 : time - askedAt;
  }

  /** The profile ends with the block, or to be read. */
  look(onSample: OnSample): void {
    if (this._underWay !== undefined || !this._isReady) return;
    const beatAt = this._beatAt;
    const timer = setInterval(() => this._attend(), ALERT_MILLIS);
    this._underWay = { beatAt, begunAt: this._now(), onSample, timer, endAskedAt: undefined };
    this._ask({ type: 'begin' });
  }

  leaveForGood(): void {
    clearInterval(this._underWay?.timer);
    this._underWay = undefined;
    this._answerAll();
    this._channel.close();
  }

  /** Calls `onSeen` once all is in; with how long at most the thread was held up by us then, to be ready. */
  seen(from: number, until: number, onSeen: OnSeen): void {
    this._askers.push({ from, until, onSeen });
    if (!this.isLooking) this._answerAll();
  }

  private get _beatAt(): number {
    return this._memory.fields[Field.BeatAt] as number;
  }

  private _ask(message: Ask): void {
    try {
      this._channel.postMessage(message);
    } catch {
      // Closed: this thread is about to end.
    }
  }

  private _giveUp(): void {
    if (this._isReady || this._isUnknown) return;
    this._isUnknown = true;
    this._answerAll();
    this._onBlind(
      'the thread that has started this one has to have an EventLoopInstrumentation with workerWatchdogs as well',
    );
  }

  private _attend(): void {
    const { _underWay: underWay } = this;
    if (underWay === undefined) return;
    const time = this._now();
    if (underWay.endAskedAt !== undefined) {
      if (time - underWay.endAskedAt < MAX_ANSWER_MILLIS) return;
      // Until it is heard of again.
      this._isReady = false;
      this._isUnknown = true;
      this._over(underWay);
      return;
    }
    if (this._beatAt === underWay.beatAt && time - underWay.begunAt < PROFILE_MILLIS) return;
    underWay.endAskedAt = time;
    this._ask({ type: 'end' });
  }

  private _receive(message: Answer): void {
    this._isReady = true;
    this._readyAt ??= this._now();
    const { _underWay: underWay } = this;
    if (message.type === 'ready' || underWay === undefined) {
      if (!this.isLooking) this._answerAll();
      return;
    }
    try {
      if (message.profile !== undefined) this._read(JSON.parse(message.profile), underWay);
    } catch {
      // Of an unknown kind: nothing was seen.
    }
    this._over(underWay);
  }

  private _over({ timer }: UnderWay): void {
    clearInterval(timer);
    this._underWay = undefined;
    this._answerAll();
  }

  private _read(profile: Profile, { beatAt, onSample }: UnderWay): void {
    const ageMillis = modulo(processClock() * 1_000 - profile.endTime, CLOCK_PERIOD) / 1_000;
    const folder = this._ownFolder;
    const own = ({ filePath }: { readonly filePath: string }): boolean =>
      folder !== undefined && filePath.startsWith(folder);
    const samples = profiledSamples(profile, this._now() - ageMillis, { own, tellsLine: (file) => !hasMap(file) });
    // What is seen first stands for the time since the loop last turned, or was last looked at.
    const since = Math.max(beatAt, this._seenUntil);
    const span = this._runningSpan();
    for (const [i, { isLoading: _, ...sample }] of samples.entries()) {
      const from = i === 0 ? Math.min(since, sample.from) : sample.from;
      this._samples.push({ ...sample, from });
      const { stack: frames, isCut, accuracy, until } = sample;
      if (frames.length > 0) onSample({ span, frames, isCut, accuracy }, from, until);
      this._seenUntil = until;
    }
    const kept = this._samples.filter(({ until }) => until > this._now() - KEPT_MILLIS);
    this._samples = kept.slice(-MAX_KEPT_SAMPLES);
  }

  private _runningSpan(): SentSample['span'] {
    const running = this._memory.runningSpan();
    if (running === undefined) return undefined;
    const { entry, ...span } = running;
    return { ...span, entry: entry === undefined ? undefined : { name: entry } };
  }

  private _answerAll(): void {
    const askers = this._askers;
    this._askers = [];
    for (const { from, until, onSeen } of askers) {
      const seen = this._samples.filter((sample) => sample.until > from && sample.from < until);
      onSeen(seen, Math.max(Math.min(until, this._readyAt ?? 0) - Math.max(from, this._since), 0));
    }
  }
}
