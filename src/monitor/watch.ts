// SPDX-License-Identifier: Apache-2.0
import process from 'node:process';
import { context, type DiagLogger, ROOT_CONTEXT } from '@opentelemetry/api';
import type { ResolvedConfig } from '../config.js';
import type { Attribution } from '../following/attribution.js';
import type { StackSample } from '../model.js';
import { registered } from '../otel/registered.js';
import type { StartUp } from '../recorder/start-up.js';
import type { StackFrame } from '../types.js';
import type { Watchdog } from '../watchdog/watchdog.js';
import { startHeartbeat } from './heartbeat.js';
import { Sources } from './sources.js';

/** What follows from the heartbeat. */
export interface BeatListener {
  /**
   * The loop turned in time, or late by so many milliseconds; due so many after the last beat.
   *
   * @param runningMillis how long the iteration that the beat is part of has been busy; undefined where that is not known.
   */
  onBeat(lateMillis: number, dueAfterMillis: number, runningMillis: number | undefined): void;
  /** The process exits, or somebody wants to know: what is still to be said must be said now. */
  onExit(): void;
}

/** All that watches the loop of this thread, in step with its heartbeat: put on by {@link start}, taken off by {@link stop}. */
export class LoopWatch {
  private _attribution: Attribution | undefined;
  private readonly _undo: (() => void)[] = [];
  private _isStopped = false;
  private _isAnnounced = false;

  /**
   * @param _wanted undefined where that is known not to be had.
   * @param _otherwise in its place, also where it cannot be had.
   * @param _onSample told of each stack sample, inside the blocked code: must not throw.
   */
  constructor(
    private readonly _config: ResolvedConfig,
    private readonly _wanted: Attribution | undefined,
    private readonly _otherwise: Attribution,
    private readonly _listener: BeatListener,
    private readonly _watchdog: Watchdog | undefined,
    private readonly _diag: DiagLogger,
    private readonly _onSample: ((sample: StackSample, at: number, isLoading: boolean) => void) | undefined,
  ) {}

  /** @param startUp given while the program still loads its modules, which is no block. */
  start(startUp: StartUp | undefined): void {
    const attribution = this._startAttribution(startUp);
    this._attribution = attribution;
    this._undo.push(() => attribution.stop());
    const onExit = (): void => {
      this.flush();
      this._watchdog?.stop(true);
    };
    process.once('exit', onExit);
    this._undo.push(() => process.removeListener('exit', onExit));
    // In the root context, or every beat would count as a callback of the span that happened to be active.
    context.with(ROOT_CONTEXT, () => {
      const { delayIntervalMillis } = this._config;
      const onBeat = (lateMillis: number, dueAfterMillis: number): void => {
        attribution.beat(lateMillis);
        this._watchdog?.beat();
        this._listener.onBeat(lateMillis, dueAfterMillis, attribution.runningMillis());
        // A hook of the application may have disabled us meanwhile.
        if (this._isStopped) return;
        const paceMillis = attribution.paceMillis(delayIntervalMillis);
        beat.setPace(paceMillis);
        // Where idle mode ends, the watchdog takes that for a beat.
        this._watchdog?.lookAfter(Math.min(paceMillis, delayIntervalMillis) + attribution.mostLateMillis);
        if (!this._isAnnounced) this._announce(attribution);
      };
      const beat = startHeartbeat(delayIntervalMillis, onBeat, (timer) => {
        startUp?.expect(timer);
        attribution.followBeat(timer);
      });
      this._undo.push(() => beat.stop());
      this._watchdog?.noteStarting(startUp !== undefined);
      this._watchdog?.lookAfter(delayIntervalMillis + attribution.mostLateMillis);
      this._watchdog?.start(
        {
          onLook: (isPrompt) => attribution.look(isPrompt),
          onAwake: () => context.with(ROOT_CONTEXT, beat.now),
          onSample: this._onSample,
        },
        attribution.kind === 'on-demand',
      );
    });
  }

  private _startAttribution(startUp: StartUp | undefined): Attribution {
    if (this._wanted !== undefined) {
      try {
        this._wanted.start(startUp);
        return this._wanted;
      } catch (error) {
        this._diag.warn(`blocks are reported under no span: ${(error as Error).message}`);
      }
    }
    this._otherwise.start(startUp);
    return this._otherwise;
  }

  /** As soon as somebody listens: NodeSDK says who, before or after it has started us. */
  private _announce({ kind }: Attribution): void {
    if (registered()?.diag === undefined) return;
    this._isAnnounced = true;
    const { blockThresholdMillis, hangThresholdMillis } = this._config;
    const hangs = hangThresholdMillis > 0 ? `to ${this._watchdog?.describeDestination()}` : 'off';
    const watchdog = this._watchdog ? `on, hang reports from ${hangThresholdMillis} ms ${hangs}` : 'off';
    this._diag.info(`blocks from ${blockThresholdMillis} ms, attribution ${kind}, watchdog ${watchdog}`);
  }

  /** `frames` in their sources, or as they are where nobody finds those in time. */
  resolve(frames: readonly StackFrame[]): Promise<readonly StackFrame[]> {
    return new Promise((resolve) => new Sources(this._watchdog).find(frames, resolve));
  }

  /** Runs `fn`, however long it takes, without a block, a look or a hang report. */
  allowBlocking<T>(fn: () => T): T {
    const endAllowed = this._attribution?.allow();
    this._watchdog?.pause();
    try {
      return fn();
    } finally {
      this._watchdog?.resume();
      endAllowed?.();
    }
  }

  /** Reports what is known by now, the iteration that still runs included. */
  flush(): void {
    this._attribution?.flush();
    this._listener.onExit();
  }

  stop(): void {
    this._isStopped = true;
    this._watchdog?.stop(false);
    for (const undo of this._undo.reverse()) undo();
    this._undo.length = 0;
  }
}
