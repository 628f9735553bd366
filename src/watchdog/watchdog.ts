// SPDX-License-Identifier: Apache-2.0
import process from 'node:process';
import { isMainThread, threadId, Worker } from 'node:worker_threads';
import { context, type DiagLogger, type Span } from '@opentelemetry/api';
import { isLoading } from '../block/plumbing.js';
import type { ResolvedConfig } from '../config.js';
import type { OnSeen, SampledFrame, StackSample } from '../model.js';
import { entryOf, requestOf } from '../otel/entry.js';
import { formatHeaders } from '../otel/otlp.js';
import { resourceOf, type Sdk, type SdkResource } from '../otel/sdk.js';
import { endOf, knownNameOf, startOf } from '../otel/span-facts.js';
import { spanOf } from '../otel/span-of.js';
import { loopCount, now } from '../system/clock.js';
import { rememberLastMatch } from '../system/last-match.js';
import { Field, jobsOf, processClock, Rest, SharedMemory, Slot } from '../system/shared-memory.js';
import { hasRoom } from '../system/stack-room.js';
import { threadFolder, threadTimeReaderOf } from '../system/thread-time.js';
import { startTimer, stopTimer } from '../system/timers.js';
import type { StackFrame } from '../types.js';
import { plainEntry } from '../words/entry.js';
import { Destination } from './destination.js';
import { cutTo, type KnownFrames, OWN_FOLDER, ownFile, ROOM_WORDS, readStack } from './look.js';
import { mapByLoader } from './map-frame.js';
import {
  type FromWorker,
  LOOK_KEY,
  type PlainResource,
  type SentSample,
  type Signal,
  type ToWorker,
  type WorkerData,
} from './messages.js';
import { nameModule } from './module-name.js';
import { type Look, samplesOf } from './stack-samples.js';
import { canProfileThreads, whyNotLook, whyNotWatch } from './surroundings.js';
import { askForProfiles } from './thread-profiler.js';
import { WORKER_SOURCE } from './worker-source.js';

/** A look that is answered sooner found JavaScript running; later, a native call had to return first. Milliseconds. */
const PROMPT_MILLIS = 2;
/**
 * An interrupt that a native call had held up is served where the next function is entered: where so many callbacks or
 * promise jobs have begun since, it was the asking that took long.
 */
const MANY_JOBS = 3;
/** The frames of the look itself, and of the expression that called it. */
const OWN_FRAMES = 2;
/** More looks at one iteration tell nothing new. */
const MAX_SAMPLES = 500;
/** What a hang report may need of a stack. */
const MAX_SENT_FRAMES = 64;
/**
 * How long exit may wait for an inspector session to be closed, which a worker without a core cannot do at once. Where it
 * stays open Node.js itself waits, without an end, and says so on stderr. Milliseconds.
 */
const MAX_EXIT_WAIT_MILLIS = 1_000;
/** A span and a log event. */
const MOST_SIGNALS = 2;
/**
 * The shortest time between two looks; and where hooks come only in the midst of a block, so that looks have to tell of what
 * V8 does not announce to them. Milliseconds.
 */
const LOOK_INTERVAL_MILLIS = 20;
const DEMAND_LOOK_INTERVAL_MILLIS = 10;
const MAX_RESTARTS = 5;
const FIRST_RESTART_MILLIS = 1_000;

/** Under it, the look of the watchdog in charge is found; see {@link LOOK_KEY}. */
const LOOK = Symbol.for(LOOK_KEY);
const globals = globalThis as unknown as Record<symbol, unknown>;

/** Whom the watchdog tells. */
export interface WatchdogListener {
  /**
   * A look interrupts whatever runs. Called inside the blocked code: must not throw.
   *
   * @param isPrompt whether it came when it was asked for. Else native code held it up.
   */
  onLook(isPrompt: boolean): void;
  /**
   * What a look saw. Called like {@link onLook}.
   *
   * @param isLoading whether a module was being loaded. Only then the stack may be empty, where nobody but a loader ran.
   */
  readonly onSample: ((sample: StackSample, at: number, isLoading: boolean) => void) | undefined;
  /** The worker asks for a beat, because the loop is no longer at rest. */
  onAwake(): void;
}

/**
 * The watched thread's side of the watchdog: tells the worker that the loop turns, answers its looks, and keeps what they
 * saw until the block is over.
 */
export class Watchdog {
  readonly memory = new SharedMemory();
  /** Undefined until {@link start}. */
  private _listener: WatchdogListener | undefined;
  private _lookIntervalMillis = LOOK_INTERVAL_MILLIS;
  private readonly _inspector = process.features.inspector ? process.getBuiltinModule('node:inspector') : undefined;
  private readonly _threadFolder = threadFolder();
  /** Of its own: what a look interrupts may be reading it as well. */
  private readonly _threadTime = threadTimeReaderOf(this._threadFolder);
  private readonly _mapsSources = process.sourceMapsEnabled === true;
  private _worker: Worker | undefined;
  /** Whether a beat came: the program is up, and so is whoever listens to `diag`. */
  private _isUp = false;
  /** What is to be said once it is. */
  private _untold: unknown[][] = [];
  /** What the worker was told of the environment. */
  private _toldEnvironment = '';
  private _stopped = false;
  private _restarts = 0;
  private _restartTimer: NodeJS.Timeout | undefined;
  private _resource: SdkResource | undefined;
  private readonly _destination: Destination;
  /** As last told to the worker. */
  private _signals: readonly Signal[] = [];
  private _describedSignals: number | undefined;

  private _samples: StackSample[] = [];
  private readonly _knownFrames: KnownFrames = new Map();
  private _lastLook: Look | undefined;

  /** Files that have a source map. */
  private readonly _mappable = new Set<string>();
  private _lastMapId = 0;
  private readonly _mapWaiters = new Map<number, (frames: readonly StackFrame[]) => void>();
  /** Since when this thread is looked at by profiles, if it is. */
  private _profiledSince: number | undefined;
  private _lastSeenId = 0;
  private readonly _seenWaiters = new Map<number, OnSeen>();

  constructor(
    private readonly _config: ResolvedConfig,
    private readonly _diag: DiagLogger,
    private readonly _sdk: Sdk,
  ) {
    this._destination = new Destination(_config.hangReportUrl, process.env, _sdk);
  }

  /**
   * Starts the worker: at once, because the first turn of the loop may be the longest of all, and is over before the first
   * beat. The thread comes up beside this one, which spends 2 ms on it.
   *
   * @param looksOften whether looks have to tell what no hook announces.
   */
  start(listener: WatchdogListener, looksOften: boolean): void {
    this._listener = listener;
    this._lookIntervalMillis = looksOften ? DEMAND_LOOK_INTERVAL_MILLIS : LOOK_INTERVAL_MILLIS;
    this._beat();
    try {
      this._start();
    } catch (error) {
      this._warn('the watchdog could not be started; blocks are reported without stacks, hangs are not', error);
    }
  }

  /** Where hang reports go, in words. What changes from now on is told: an SDK may be started later. */
  describeDestination(): string {
    this._describedSignals = this._signals.length;
    return this._destination.describe();
  }

  /** Whether the program still starts; the recorder says itself when that is over. */
  noteStarting(isStarting: boolean): void {
    this.memory.slots[Slot.Starting] = isStarting ? 1 : 0;
  }

  /** Whether the thread can be looked at, as far as that is known ahead of {@link start}. */
  get canLook(): boolean {
    return whyNotWatch() === undefined && whyNotLook() === undefined;
  }

  /** The first look is due so long after the last beat. Milliseconds. */
  lookAfter(millis: number): void {
    this.memory.fields[Field.LookAfterMillis] = millis;
  }

  /** The loop has turned in time, or turns again. */
  beat(): void {
    this._beat();
    this.learnSdk();
    if (this._describedSignals !== undefined && this._describedSignals !== this._signals.length) {
      this._diag.info(`hang reports go to ${this.describeDestination()}`);
    }
    if (this._isUp) return;
    this._isUp = true;
    for (const [message, ...details] of this._untold) this._diag.warn(message as string, ...details);
    this._untold = [];
    // What was read from a file in between (dotenv) counts.
    if (this._worker) this._sendEnvironment();
  }

  private _beat(): void {
    this.memory.fields[Field.BeatAt] = now();
    this.memory.slots[Slot.Debugged] = this._inspector?.url() === undefined ? 0 : 1;
  }

  private _warn(...words: unknown[]): void {
    if (this._isUp) this._diag.warn(words[0] as string, ...words.slice(1));
    else this._untold.push(words);
  }

  /** What follows may block: it is neither looked at nor reported as a hang, until {@link resume}. Can be nested. */
  pause(): void {
    Atomics.add(this.memory.slots, Slot.Allowed, 1);
  }

  resume(): void {
    this.memory.fields[Field.BeatAt] = now();
    Atomics.sub(this.memory.slots, Slot.Allowed, 1);
  }

  /** By how much the worker was late so far, in milliseconds; undefined where none watches. */
  get lateMillis(): number | undefined {
    return this._worker && this.memory.fields[Field.WorkerLateMillis];
  }

  /** Until when {@link lateMillis} is complete: the worker has to wake before it knows that it is late. */
  get lateUntil(): number {
    return this.memory.fields[Field.WorkerWokeAt] as number;
  }

  /** What was seen of the iteration `count`; older samples are forgotten. */
  takeSamples(count: number): StackSample[] {
    if (this._samples.length === 0) return this._samples;
    const taken = this._samples.filter((sample) => sample.loopCount === count);
    this._samples = this._samples.filter((sample) => sample.loopCount > count);
    this._knownFrames.clear();
    return taken;
  }

  /**
   * Under which resource the hang report goes out, and whether it does: an SDK may be started at any time, before or
   * after this. `span`: the first one of its class. Called inside hooks: does not throw.
   */
  learnSdk(span?: Span): void {
    if (this._stopped || (this._resource !== undefined && this._signals.length === MOST_SIGNALS)) return;
    try {
      if (span?.isRecording()) this._destination.noteRecording();
      this._learnResource(span);
      const signals = this._destination.signals();
      if (signals.length === this._signals.length) return;
      this._signals = signals;
      this._send({ type: 'signals', signals });
    } catch {
      // Providers and spans of other SDKs need not be what the API says they are.
    }
  }

  private _learnResource(span: Span | undefined): void {
    if (this._resource !== undefined) return;
    const provider = this._sdk.tracerProvider;
    this._resource = (provider && resourceOf(provider)) ?? (span as { resource?: SdkResource } | undefined)?.resource;
    if (this._resource !== undefined) this._sendResource();
  }

  /** Reads only, and tells it with the answer to a look: a message may be read only behind the hang, or no beat have come. */
  private _sdkSoFar(): SentSample['sdk'] {
    try {
      const provider = this._sdk.tracerProvider;
      const span = spanOf(context.active()) as { resource?: SdkResource } | undefined;
      const resource = this._resource ?? (provider && resourceOf(provider)) ?? span?.resource;
      return { signals: this._destination.signals(), resource: resource && plainResource(resource) };
    } catch {
      // See learnSdk.
      return undefined;
    }
  }

  /** Whether there is more to be known of frames before they are reported: their sources, or the modules that they load. */
  canResolve(frames: readonly StackFrame[]): boolean {
    if (this._worker === undefined) return false;
    if (this._mapsSources) return true;
    return frames.some(({ filePath, loadedModule }) => loadedModule !== undefined || this._mappable.has(filePath));
  }

  /** Where the worker has no answer in time, at exit above all: what can be known at little cost. */
  resolveNow(frames: readonly StackFrame[]): readonly StackFrame[] {
    return frames.map(nameModule);
  }

  /** Asks the worker: parsing a big map takes 100 ms. `onResolved` may never be called. */
  resolve(frames: readonly StackFrame[], onResolved: (frames: readonly StackFrame[]) => void): void {
    const id = ++this._lastMapId;
    this._mapWaiters.set(id, onResolved);
    this._send({ type: 'map', id, frames });
  }

  /** Whether stacks are those of profiles, which are read behind a block: see {@link seenBetween}. */
  get isProfiled(): boolean {
    return this._worker !== undefined && this._profiledSince !== undefined;
  }

  /** What profiles have seen from then to then, on the clock of `now()`. `onSeen` may never be called. */
  seenBetween(from: number, until: number, onSeen: OnSeen): void {
    const id = ++this._lastSeenId;
    this._seenWaiters.set(id, onSeen);
    this._send({ type: 'seen', id, from, until });
  }

  /** At exit, and by disable(). */
  stop(isExit: boolean): void {
    if (this._stopped) return;
    this._stopped = true;
    Atomics.store(this.memory.slots, Slot.Stop, 1);
    Atomics.store(this.memory.slots, Slot.Resting, Rest.Over);
    Atomics.notify(this.memory.slots, Slot.Resting);
    stopTimer(this._restartTimer);
    if (globals[LOOK] === this._look) globals[LOOK] = undefined;
    if (this._profiledSince !== undefined && !isExit) askForProfiles({ type: 'leave', threadId });
    // With a session open, Node.js prints "Waiting for the debugger to disconnect..." and does wait.
    if (isExit) Atomics.wait(this.memory.slots, Slot.SessionOpen, 1, MAX_EXIT_WAIT_MILLIS);
    this._worker?.removeAllListeners();
    this._worker?.on('error', () => {});
    this._worker = undefined;
    this._mapWaiters.clear();
    this._seenWaiters.clear();
  }

  private _start(): void {
    const reason = whyNotWatch();
    if (reason !== undefined) {
      this._warn(`the watchdog stands aside: ${reason}; blocks are reported without stacks, hangs are not`);
      return;
    }
    const blindness = whyNotLook();
    const mayProfile = !isMainThread && canProfileThreads();
    if (blindness === undefined) {
      Object.defineProperty(globals, LOOK, { value: this._look, configurable: true, writable: true });
    } else if (!mayProfile) {
      this._warn(`no stacks: ${blindness}`);
    } else {
      // Here and not in the watchdog: of what is compiled by then V8 does not know all.
      this._profiledSince = now();
      askForProfiles({ type: 'keep', threadId });
    }
    this._spawn(blindness === undefined || mayProfile);
  }

  private _spawn(mayLook: boolean): void {
    const { hangThresholdMillis, hangAction, stackPaths } = this._config;
    const workerData: WorkerData = {
      memory: this.memory.buffer,
      clockOffset: now() - processClock(),
      lookIntervalMillis: this._lookIntervalMillis,
      mayLook,
      hangThresholdMillis,
      // Another thread's hang is no reason to end all of them.
      hangAction: isMainThread ? hangAction : 'report',
      stackPaths,
      threadFolder: this._threadFolder,
      workerThreadId: isMainThread ? undefined : threadId,
      profiledSince: this._profiledSince,
      ownFolder: OWN_FOLDER,
      resolveFrom: [process.argv[1], `${process.cwd()}/x.js`, ownFile()].filter((path) => path !== undefined),
    };
    const environment = this._environment();
    this._toldEnvironment = JSON.stringify(telemetryVariables(environment));
    // Without the application's --import, --require and NODE_OPTIONS, which would start a second SDK in there.
    const worker = new Worker(WORKER_SOURCE, {
      eval: true,
      execArgv: [],
      env: environment,
      name: 'event-loop-watchdog',
      workerData,
    });
    worker.on('message', (message: FromWorker) => this._receive(message));
    worker.on('error', () => {});
    worker.on('exit', () => this._onWorkerExit(mayLook));
    worker.unref();
    this._worker = worker;
    this._sendResource();
    this._send({ type: 'signals', signals: this._signals });
  }

  private _environment(): NodeJS.ProcessEnv {
    const { NODE_OPTIONS: _, ...environment } = process.env ?? {};
    const { hangReportUrl, hangReportHeaders } = this._config;
    if (hangReportUrl === undefined && hangReportHeaders === undefined) return environment;
    for (const name of Object.keys(environment)) {
      if (/^OTEL_EXPORTER_OTLP_(?:TRACES|LOGS)_(?:ENDPOINT|PROTOCOL|HEADERS)$/.test(name)) delete environment[name];
    }
    if (hangReportUrl !== undefined) {
      environment.OTEL_EXPORTER_OTLP_ENDPOINT = hangReportUrl;
      environment.OTEL_EXPORTER_OTLP_PROTOCOL ??= 'http/protobuf';
    }
    if (hangReportHeaders !== undefined) {
      environment.OTEL_EXPORTER_OTLP_HEADERS = formatHeaders(hangReportHeaders);
    }
    return environment;
  }

  private _onWorkerExit(mayLook: boolean): void {
    this._worker = undefined;
    this._mapWaiters.clear();
    this._seenWaiters.clear();
    this.memory.slots[Slot.SessionOpen] = 0;
    if (this._stopped || ++this._restarts > MAX_RESTARTS) return;
    this._restartTimer = startTimer(() => this._restart(mayLook), FIRST_RESTART_MILLIS * 2 ** (this._restarts - 1));
    this._restartTimer.unref();
  }

  private _restart(mayLook: boolean): void {
    // Whoever was to ask for it at the end of a rest is gone.
    this._listener?.onAwake();
    try {
      this._spawn(mayLook);
    } catch {
      // No more threads to be had: the rest goes on.
    }
  }

  private _receive(message: FromWorker): void {
    if (message.type === 'blind') {
      this._warn(`no stacks: ${message.reason}`);
    } else if (message.type === 'awake') {
      this._listener?.onAwake();
    } else if (message.type === 'mappable') {
      for (const file of message.files) this._mappable.add(file);
    } else if (message.type === 'seen') {
      const onSeen = this._seenWaiters.get(message.id);
      this._seenWaiters.delete(message.id);
      onSeen?.(message.samples, message.pausedMillis);
    } else {
      const onMapped = this._mapWaiters.get(message.id);
      this._mapWaiters.delete(message.id);
      onMapped?.(this._mapsSources ? mapByLoader(message.frames, message.withoutMap) : message.frames);
    }
  }

  private _send(message: ToWorker): void {
    if (!this._worker) return;
    this._worker.postMessage(message);
    Atomics.add(this.memory.slots, Slot.Messages, 1);
    Atomics.notify(this.memory.slots, Slot.Messages);
  }

  private _sendEnvironment(): void {
    const variables = telemetryVariables(this._environment());
    if (JSON.stringify(variables) !== this._toldEnvironment) this._send({ type: 'environment', variables });
  }

  private _sendResource(): void {
    const resource = this._resource;
    if (resource === undefined) return;
    const send = (): void => this._send({ type: 'resource', ...plainResource(resource) });
    // Not all is known sooner.
    if (resource.asyncAttributesPending) resource.waitForAsyncAttributes?.().then(send, send);
    else send();
  }

  /** Runs inside the blocked code. */
  private readonly _look = (): string => {
    try {
      // One that runs out of it half-way could not even put back what it has changed.
      if (!hasRoom(ROOM_WORDS)) return '';
      const bringBack = rememberLastMatch();
      try {
        return JSON.stringify(this._see());
      } finally {
        bringBack();
      }
    } catch {
      return '';
    }
  };

  /** Also an answer that had to wait for a core: native code had not held it up. */
  private _isPrompt(lateMillis: number): boolean {
    if (lateMillis <= PROMPT_MILLIS) return true;
    const queuedMillis = this._threadTime?.()?.queuedMillis ?? 0;
    return lateMillis - (queuedMillis - (this.memory.fields[Field.QueuedAsked] as number)) <= PROMPT_MILLIS;
  }

  private _see(): SentSample {
    const at = now();
    const { slots, fields } = this.memory;
    const askedAt = fields[Field.AskedAt] as number;
    const job = jobsOf(slots);
    const callback = slots[Slot.Callbacks] as number;
    const jobs = (job - (slots[Slot.JobsAsked] as number)) | 0;
    const isPrompt = this._isPrompt(at - askedAt) || jobs >= MANY_JOBS;
    this._listener?.onLook(isPrompt);
    // After a native call and in another callback or promise job than it was made in: nothing here was there.
    const seen = isPrompt || jobs === 0 ? readStack(OWN_FRAMES + 1, this._knownFrames) : NO_STACK;
    const before = this._lastLook;
    const since = Math.max(before?.at ?? 0, fields[Field.BeatAt] as number);
    const look: Look = { ...seen, loopCount: loopCount(), callback, job, isPrompt, since, askedAt, at };
    const samples = samplesOf(look, before);
    const { stack, accuracy } = samples[0] as StackSample;
    // Only Node.js's own code or ours on the stack, between two callbacks: the next look, which comes soon, has to tell.
    const isKept = stack.length > 0 || !isPrompt;
    if (isKept) this._lastLook = look;
    if (this._samples.length < MAX_SAMPLES) {
      if (isKept) this._samples.push(...samples);
      this._tellSample(samples[0] as StackSample, at, seen.frames);
    }
    return {
      span: activeSpan(),
      ...cutTo(MAX_SENT_FRAMES, stack, seen),
      accuracy,
      sdk: this._sdkSoFar(),
    };
  }

  private _tellSample(sample: StackSample, at: number, frames: readonly SampledFrame[]): void {
    const onSample = this._listener?.onSample;
    if (onSample === undefined) return;
    const loads = isLoading(frames);
    if (sample.stack.length > 0 || sample.accuracy === 'after' || loads) onSample(sample, at, loads);
  }
}

/** What is standard in there, and read for a hang report. */
function telemetryVariables(environment: NodeJS.ProcessEnv): Record<string, string> {
  const entries = Object.entries(environment).filter(([name]) => name.startsWith('OTEL_'));
  return Object.fromEntries(entries) as Record<string, string>;
}

const NO_STACK = { frames: [], justEntered: false, isCut: false, outer: [] } as const;

/** What is known of it by now. */
function plainResource(resource: SdkResource): PlainResource {
  // To ask for `attributes` while some are still to come costs a line of the SDK's.
  const all = resource.asyncAttributesPending
    ? (resource.getRawAttributes?.() ?? [])
    : Object.entries(resource.attributes ?? {});
  return {
    attributes: Object.fromEntries(all.filter(([, value]) => isPlain(value))),
    schemaUrl: resource.schemaUrl,
  };
}

function isPlain(value: unknown): boolean {
  return Array.isArray(value) ? value.every(isPlain) : /^(?:string|number|boolean)$/.test(typeof value);
}

function activeSpan(): SentSample['span'] {
  const active = context.active();
  const span = spanOf(active);
  if (span === undefined) return undefined;
  const { traceId, spanId } = span.spanContext();
  const entry = entryOf(span, requestOf(active));
  const name = entry?.span === span ? entry.name : (knownNameOf(span) ?? '');
  return {
    traceId,
    spanId,
    name,
    entry: entry && plainEntry(entry),
    startTimeMillis: startOf(span),
    endTimeMillis: endOf(span),
  };
}
