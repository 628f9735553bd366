// SPDX-License-Identifier: Apache-2.0
import type { Profiler, Session } from 'node:inspector';
import { now } from '../system/clock.js';
import { PACKAGE_NAME } from '../version.js';
import { type ProfiledSample, profiledSamples } from '../watchdog/profile-samples.js';

/** How often V8 takes a stack. Milliseconds. */
const INTERVAL_MILLIS = 5;
/** What is kept of it. Milliseconds. */
const KEPT_MILLIS = 60_000;
/** V8 keeps all that it has seen: a profile that nobody has asked for gives way to a new one after so long. Milliseconds. */
const MAX_PROFILE_MILLIS = 20_000;

/** The console of V8, which is not the one that prints. */
interface InspectorConsole {
  profile(name: string): void;
  profileEnd(name: string): void;
}

/**
 * Stacks of a worker thread, which no watchdog can look at: those of V8's profiler, running in the thread itself. They know
 * functions, and not at which line of it the thread was.
 *
 * Profiles overlap: the next one begins before the last ends. With none under way, V8 forgets where code is that a running loop
 * was replaced by, and never again knows the function (on 20 and 24). `console.profile` alone can have more than one.
 */
export class ThreadProfile {
  private _samples: ProfiledSample[] = [];
  private _startedAt = 0;
  private _title = '';
  private _count = 0;
  private _ended = '';
  private _finished: Profiler.Profile | undefined;

  private constructor(
    private readonly _session: Session,
    private readonly _console: InspectorConsole,
  ) {
    _session.on('Profiler.consoleProfileFinished', ({ params }) => {
      if (params.title === this._ended) this._finished = params.profile;
    });
  }

  /** Undefined where it cannot be had. */
  static start(): ThreadProfile | undefined {
    try {
      const inspector = process.getBuiltinModule('node:inspector');
      const session = new inspector.Session();
      session.connect();
      const profile = new ThreadProfile(session, inspector.console as unknown as InspectorConsole);
      profile._post('Profiler.enable');
      profile._post('Profiler.setSamplingInterval', { interval: INTERVAL_MILLIS * 1000 });
      profile._begin();
      return profile;
    } catch {
      return undefined;
    }
  }

  /** What was seen from `start` to `end`, on the clock of `now()`, which are in the past. */
  between(start: number, end: number): readonly ProfiledSample[] {
    this._take();
    return this._samples.filter(({ from, until }) => until > start && from < end);
  }

  /** To be called now and then. */
  trim(): void {
    if (now() - this._startedAt > MAX_PROFILE_MILLIS) this._take();
  }

  private _begin(): void {
    this._title = `${PACKAGE_NAME} ${++this._count}`;
    this._console.profile(this._title);
    this._startedAt = now();
  }

  private _take(): void {
    this._ended = this._title;
    this._begin();
    this._finished = undefined;
    this._console.profileEnd(this._ended);
    const endedAt = now();
    const profile = this._finished as Profiler.Profile | undefined;
    if (profile === undefined) return;
    const since = endedAt - KEPT_MILLIS;
    this._samples = [...this._samples, ...profiledSamples(profile, endedAt)].filter(({ until }) => until > since);
  }

  /** In the thread itself, an answer comes at once. */
  private _post(method: string, parameters?: object): unknown {
    let answer: unknown;
    let failure: Error | null = null;
    this._session.post(method, parameters, (error: Error | null, result?: object) => {
      failure = error;
      answer = result;
    });
    if (failure !== null) throw failure;
    return answer;
  }
}
