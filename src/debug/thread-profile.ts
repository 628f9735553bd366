// SPDX-License-Identifier: Apache-2.0
import type { Profiler, Runtime, Session } from 'node:inspector';
import { ANONYMOUS, isUserCode } from '../block/call-tree.js';
import { isLoading, markLoading, roleOf } from '../block/plumbing.js';
import type { SampledFrame, StackSample } from '../model.js';
import { now } from '../system/clock.js';
import { toPath } from '../system/to-path.js';
import { PACKAGE_NAME } from '../version.js';
import { fromUserCode } from '../watchdog/look.js';

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

/** A stack that stood for some time, and whether a module was being loaded. */
export interface ProfiledSample extends StackSample {
  readonly isLoading: boolean;
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
    this._samples = [...this._samples, ...samplesOf(profile, endedAt)].filter(({ until }) => until > since);
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

/** Every sample of a profile that ended at `endedAt`: how many there are of a function is what vouches for it. */
export function samplesOf(profile: Profiler.Profile, endedAt: number): ProfiledSample[] {
  const { nodes, samples = [], timeDeltas = [], startTime, endTime } = profile;
  const parents = new Map<number, number>();
  for (const { id, children = [] } of nodes) for (const child of children) parents.set(child, id);
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, toFrame(callFrame)]));
  const known = new Map<number, Pick<ProfiledSample, 'stack' | 'isLoading'>>();
  const stackOf = (leaf: number) => {
    const seen = known.get(leaf);
    if (seen !== undefined) return seen;
    const raw: SampledFrame[] = [];
    for (let id: number | undefined = leaf; id !== undefined; id = parents.get(id)) {
      const frame = frames.get(id);
      if (frame !== undefined) raw.push(callsModule(frame, raw.at(-1)) ? { ...frame, role: 'module caller' } : frame);
    }
    const found = { stack: fromUserCode(markLoading(raw)), isLoading: isLoading(raw) };
    known.set(leaf, found);
    return found;
  };
  // The first delta counts from the start of the profile; each sample stands for the time ahead of it.
  let at = endedAt - (endTime - startTime) / 1000;
  return samples.map((leaf, i) => {
    const from = at;
    at += (timeDeltas[i] ?? 0) / 1000;
    const rest = { loopCount: 0, callback: 0, isCut: false, accuracy: 'during', isCertain: false } as const;
    return { ...stackOf(leaf), ...rest, from, until: at };
  });
}

/**
 * Whether `frame` is `Module.prototype._compile`, which has a name in a profile only up to Node.js 20: what it calls is the
 * body of a module, a function without a name in whose file nothing is ahead of it.
 */
function callsModule({ functionName, role }: SampledFrame, callee: SampledFrame | undefined): boolean {
  if (role !== 'loader' || functionName !== ANONYMOUS || callee === undefined || !isUserCode(callee)) return false;
  return callee.functionName === ANONYMOUS && callee.startLine === 1 && callee.startColumn === 1;
}

/** Undefined for what is no function: `(root)`, `(program)`, `(garbage collector)`. */
function toFrame({ functionName, url, lineNumber, columnNumber }: Runtime.CallFrame): SampledFrame | undefined {
  if (/^\((?:root|program|idle|garbage collector)\)$/.test(functionName) && url === '') return undefined;
  const name = functionName === '' ? ANONYMOUS : functionName;
  const filePath = toPath(url);
  const [line, column] = [lineNumber + 1, columnNumber + 1];
  const place = filePath === '' ? 'native' : `${filePath}:${line}:${column}`;
  const text = functionName === '' && filePath !== '' ? place : `${name} (${place})`;
  return {
    text,
    functionName: name,
    filePath,
    lineNumber: filePath === '' ? 0 : line,
    columnNumber: filePath === '' ? 0 : column,
    startLine: line,
    startColumn: column,
    role: roleOf(text, filePath),
    functionKey: `${filePath}\n${name}\n${line}:${column}`,
  };
}
