// SPDX-License-Identifier: Apache-2.0
import process from 'node:process';
import { context, type DiagLogger, ROOT_CONTEXT } from '@opentelemetry/api';
import type { ResolvedConfig } from '../config.js';
import { debugSink } from '../debug-sink.js';
import { tapAsyncResource, tapContextManager } from '../hooks/context-tap.js';
import { tapHandles } from '../hooks/handle-tap.js';
import { installHooks } from '../hooks/hooks.js';
import { registered, registeredContextManager, whenContextManagerAppears } from '../hooks/manager-watch.js';
import { tapSpanEnd } from '../hooks/span-tap.js';
import type { Iteration, SpanShare } from '../model.js';
import { REST_INTERVAL_MILLIS, type RecorderListener, SliceRecorder } from '../recorder/recorder.js';
import { StartUp } from '../recorder/start-up.js';
import { TracedRecorder } from '../recorder/traced-recorder.js';
import { hasIterationClock } from '../system/clock.js';
import type { Watchdog } from '../watchdog/watchdog.js';
import { type Beat, startBeat } from './heartbeat.js';
import { Sampler } from './sampler.js';

export interface LoopListener extends RecorderListener {
  /** The loop turned in time, or late by so many milliseconds; due so many after the last beat. */
  onBeat(lateMillis: number, dueAfterMillis: number): void;
  /** The loop is no longer at rest. */
  onWake(): void;
  /** The process exits: what is still to be said must be said now. */
  onExit(): void;
}

/** Who finds out whose time the loop's was. */
export interface Attribution {
  /** Whether every slice is followed; else the looks of the watchdog have to tell. */
  readonly isExact: boolean;
  /** Whether `tally` reached the threshold inside the iteration that is still running. */
  isBlocking(tally: SpanShare): boolean;
  /** The iteration so far, for a span that ends inside its own block. */
  snapshot(): Iteration;
}

/** Everything that watches the loop of this thread: put on by {@link start}, taken off without a trace by {@link stop}. */
export class LoopWatch {
  private _recorder: SliceRecorder | undefined;
  private _sampler: Sampler | undefined;
  private readonly _undo: (() => void)[] = [];
  private _tappedManager: object | undefined;
  private _untapManager: (() => void) | undefined;
  private _isAnnounced = false;

  constructor(
    private readonly _config: ResolvedConfig,
    private readonly _listener: LoopListener,
    private readonly _watchdog: Watchdog | undefined,
    private readonly _diag: DiagLogger,
  ) {}

  get attribution(): Attribution | undefined {
    return this._recorder ?? this._sampler;
  }

  /** Undefined where blocks are found by samples. */
  get recorder(): SliceRecorder | undefined {
    return this._recorder;
  }

  start(): void {
    const startUp = StartUp.now();
    if (!this._startRecorder(startUp)) this._startSampler(startUp !== undefined);
    const onExit = (): void => {
      this.flush();
      this._watchdog?.stop(true);
    };
    process.once('exit', onExit);
    this._undo.push(() => process.removeListener('exit', onExit));
    // In the root context, or every beat would count as a callback of the span that happened to be active.
    context.with(ROOT_CONTEXT, () => {
      const onBeat = (lateMillis: number, dueAfterMillis: number): void => {
        if (this._recorder) this._followManager(this._recorder);
        this._sampler?.beat(lateMillis);
        if (this._sampler?.isStarting === false) this._watchdog?.noteStarting(false);
        this._watchdog?.beat();
        this._listener.onBeat(lateMillis, dueAfterMillis);
        // A hook of the application may have disabled us meanwhile.
        if (this._recorder?.enabled) this._setPace(beat, this._recorder);
        if (!this._isAnnounced) this._announce();
      };
      const beat = startBeat(this._config.delayIntervalMillis, onBeat, (timer) => {
        startUp?.expect(timer);
        if (this._recorder) this._recorder.beatTimer = timer;
      });
      if (this._watchdog) this._watchdog.onAwake = () => context.with(ROOT_CONTEXT, beat.now);
      this._undo.push(() => beat.stop());
      this._watchdog?.noteStarting(startUp !== undefined);
      this._watchdog?.start();
    });
  }

  /** As soon as somebody listens: NodeSDK says who, before or after it has started us. */
  private _announce(): void {
    if (registered()?.diag === undefined) return;
    this._isAnnounced = true;
    const { blockThresholdMillis, hangThresholdMillis } = this._config;
    const attribution = this._recorder ? 'exact' : 'sampled';
    const hangs = hangThresholdMillis > 0 ? `to ${this._watchdog?.describeDestination()}` : 'off';
    const watchdog = this._watchdog ? `on, hang reports from ${hangThresholdMillis} ms ${hangs}` : 'off';
    this._diag.info(`blocks from ${blockThresholdMillis} ms, attribution ${attribution}, watchdog ${watchdog}`);
  }

  /** A process with nothing to do is woken rarely; to wake it takes more of a core than anything that we do then. */
  private _setPace(beat: Beat, recorder: SliceRecorder): void {
    const { delayIntervalMillis } = this._config;
    beat.setPace(recorder.beat() ? Math.max(delayIntervalMillis, REST_INTERVAL_MILLIS) : delayIntervalMillis);
  }

  /** @returns whether every callback is followed from now on. */
  private _startRecorder(startUp: StartUp | undefined): boolean {
    if (this._config.attribution === 'sampled') return false;
    if (!hasIterationClock()) {
      this._fallBack('this Node.js does not count its loop iterations: it takes 20.18, 22.8 or newer');
      return false;
    }
    const { blockThresholdMillis, delayIntervalMillis } = this._config;
    const sink = debugSink();
    const settings = [blockThresholdMillis, delayIntervalMillis, this._listener, this._watchdog?.memory] as const;
    const recorder = sink ? new TracedRecorder(sink, ...settings) : new SliceRecorder(...settings);
    this._undo.push(tapSpanEnd(recorder, (span) => this._watchdog?.learnSdk(span)));
    this._undo.push(whenContextManagerAppears(() => this._followManager(recorder)));
    this._undo.push(() => this._untapManager?.());
    this._followManager(recorder);
    this._undo.push(tapAsyncResource(recorder));
    this._undo.push(tapHandles(recorder));
    recorder.onWake = () => {
      this._watchdog?.beat();
      this._listener.onWake();
    };
    recorder.start(startUp);
    this._undo.push(() => recorder.stop());
    try {
      this._undo.push(installHooks(recorder));
    } catch (error) {
      this._takeOff();
      this._fallBack(`hooks cannot be installed: ${error}`);
      return false;
    }
    this._recorder = recorder;
    return true;
  }

  private _startSampler(isStarting: boolean): void {
    const { blockThresholdMillis, delayIntervalMillis } = this._config;
    const sampler = new Sampler(blockThresholdMillis, delayIntervalMillis, this._listener, isStarting);
    this._undo.push(tapSpanEnd(sampler, (span) => this._watchdog?.learnSdk(span)));
    this._sampler = sampler;
    if (this._watchdog) {
      this._watchdog.isSampling = true;
    } else {
      this._diag.warn("attribution 'sampled' needs the watchdog, which is off here: blocks are reported under no span");
    }
  }

  private _fallBack(reason: string): void {
    this._diag.warn(`attribution falls back to 'sampled', ${reason}`);
  }

  /** A look of the watchdog, which was asked for at `askedAt`, interrupts whatever runs now. */
  look(askedAt: number, isPrompt: boolean): void {
    this._recorder?.witness(this._recorder.activeContext(), isPrompt);
    this._sampler?.look(askedAt);
  }

  /** Runs `fn`, however long it takes, without a block, a look or a hang report. */
  allowBlocking<T>(fn: () => T): T {
    const aside = this._recorder?.beginAllowed();
    this._sampler?.flush();
    this._watchdog?.pause();
    try {
      return fn();
    } finally {
      this._watchdog?.resume();
      if (aside) this._recorder?.endAllowed(aside);
      this._sampler?.startOver();
    }
  }

  /** Reports what is known by now, the iteration that still runs included. */
  flush(): void {
    this._recorder?.flush();
    this._sampler?.flush();
    this._listener.onExit();
  }

  stop(): void {
    this._watchdog?.stop(false);
    this._takeOff();
  }

  private _takeOff(): void {
    for (const undo of this._undo.reverse()) undo();
    this._undo.length = 0;
  }

  /** The application may register another context manager at any time. */
  private _followManager(recorder: SliceRecorder): void {
    const manager = registeredContextManager();
    if (manager === undefined || manager === this._tappedManager) return;
    this._untapManager?.();
    this._tappedManager = manager;
    this._untapManager = tapContextManager(manager, recorder);
    recorder.resync();
  }
}
