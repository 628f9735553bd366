// SPDX-License-Identifier: Apache-2.0
import { subscribe } from 'node:diagnostics_channel';
import { isMainThread } from 'node:worker_threads';
import type { DiagLogger, Span } from '@opentelemetry/api';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { findInCode } from '../block/location.js';
import { environmentName } from '../config.js';
import { type DebugSink, debugSink, setDebugSink } from '../debug-sink.js';
import { watcher } from '../instrumentation.js';
import type { StackSample } from '../model.js';
import { PreloadedInstrumentation } from '../preload.js';
import { CHANNEL_BLOCK } from '../semconv.js';
import { now, wallClockOffset } from '../system/clock.js';
import type { Block, StackFrame } from '../types.js';
import { describeFrame } from '../words/code.js';
import type { Finding } from './finding.js';
import { Looks } from './looks.js';
import { ThreadProfile } from './thread-profile.js';

/** Told while it happens, like a {@link DebugSink}: must not throw. */
export interface FindingsListener {
  onFinding?(finding: Finding): void;
  onSlice?(span: Span | undefined, asyncResource: string, startedAt: number, endedAt: number): void;
  onIteration?(isBlock: boolean): void;
  onStackSample?(sample: StackSample, at: number): void;
  /** The watchdog looks at a blocked loop. */
  onLook?(): void;
}

/**
 * What blocks this thread, for whoever wants to know: one for each thread, on the global, also where `./debug` and the guard
 * of a test runner are there both, in different copies of this package. Hence only what is public of it may be used, and
 * nothing of it may change its meaning.
 */
export class Findings implements DebugSink {
  /** Told in the midst of a block: for which test its code runs. */
  private _whose: (() => unknown) | undefined;
  readonly listeners = new Set<FindingsListener>();
  private readonly _looks = new Looks();
  private readonly _profile: ThreadProfile | undefined;

  private constructor(
    private _maxThresholdMillis: number,
    private readonly _say: (message: string) => void,
    looksItself: boolean,
  ) {
    this._profile = looksItself ? ThreadProfile.start() : undefined;
    if (looksItself && this._profile === undefined)
      _say('blocks of worker threads have no stack: there is no profiler');
  }

  /**
   * Those of this thread, which are found from now on at the latest.
   *
   * @param maxThresholdMillis blocks of this length are wanted.
   * @param say where what has to be said goes.
   */
  static get(maxThresholdMillis: number, say: (message: string) => void): Findings {
    const there = debugSink() as Findings | undefined;
    if (there !== undefined) {
      there.lowerThreshold(maxThresholdMillis);
      return there;
    }
    const findings = new Findings(maxThresholdMillis, say, !isMainThread);
    setDebugSink(findings);
    findings._start();
    return findings;
  }

  /**
   * Tests are guarded one by one from now on.
   *
   * @param whose says in the midst of a block for which test its code runs, as far as that is known.
   */
  guardTests(whose: () => unknown): void {
    this._whose = whose;
  }

  /** Then nothing else is held against the limit. */
  get areTestsGuarded(): boolean {
    return this._whose !== undefined;
  }

  get hasStarted(): boolean {
    return this._whose !== undefined;
  }

  get maxThresholdMillis(): number {
    return this._maxThresholdMillis;
  }

  /** Blocks of this length are wanted as well. */
  lowerThreshold(millis: number): void {
    if (millis >= this._maxThresholdMillis) return;
    this._maxThresholdMillis = millis;
    const watching = watcher();
    watching?.disable();
    watching?.enable();
  }

  /** All that is over by now is told, what still runs in this iteration included, and what follows begins anew. */
  cut(): void {
    watcher()?.flush();
    this._profile?.trim();
  }

  /** The frames in their sources. */
  async resolve(frames: readonly StackFrame[]): Promise<readonly StackFrame[]> {
    const watching = watcher();
    return typeof watching?._resolve === 'function' ? watching._resolve(frames) : frames;
  }

  onSlice(...slice: Parameters<DebugSink['onSlice']>): void {
    for (const listener of this.listeners) listener.onSlice?.(...slice);
  }

  onIteration(isBlock: boolean): void {
    for (const listener of this.listeners) listener.onIteration?.(isBlock);
  }

  onStackSample(sample: StackSample, at: number, isLoading: boolean): void {
    this._looks.add(sample, at, isLoading, this._whose?.());
    for (const listener of this.listeners) {
      listener.onLook?.();
      if (sample.stack.length > 0 || !isLoading) listener.onStackSample?.(sample, at);
    }
  }

  private _start(): void {
    subscribe(CHANNEL_BLOCK, (message) => {
      try {
        this._onBlock(message as Block);
      } catch (error) {
        // Thrown here it would become an uncaught exception of the application's.
        this._say(`failed to tell of a block: ${error}`);
      }
    });
    const watching = watcher();
    if (watching && !watching.isPreloaded) {
      // The application's own, which has been enabled before there was anybody to tell.
      watching.disable();
      watching.enable();
      return;
    }
    const say = (message: string): void => this._say(message);
    const log: DiagLogger = { ...QUIET, error: say, warn: say };
    // Without an SDK nobody listens to `diag`. A class, because the base constructor asks for it already.
    class DebugInstrumentation extends PreloadedInstrumentation {
      protected override _log(): DiagLogger {
        return log;
      }

      /** Asked for by name, and without an SDK: what switches that off does not switch off this. */
      protected override _whyNot(): undefined {}
    }
    const instrumentation = new DebugInstrumentation();
    registerInstrumentations({ instrumentations: [instrumentation] });
    if (!instrumentation.isEnabled()) this._say(`is off: ${environmentName('enabled')}`);
  }

  private _onBlock(block: Block): void {
    const offset = wallClockOffset();
    const startedAt = block.startTimeMillis - offset;
    const endedAt = Math.min(block.endTimeMillis - offset, now());
    const looks = this._profile === undefined ? this._looks : new Looks();
    let located = block;
    if (this._profile !== undefined) {
      const samples = this._profile.between(startedAt, endedAt);
      for (const sample of samples) looks.add(sample, sample.until, sample.isLoading);
      // Most of a block has no name where it was seen in the loader only.
      const seen = samples.filter(({ stack, isLoading }) => stack.length > 0 || !isLoading);
      located = { ...block, ...findInCode(seen, { startedAt, endedAt }) };
    }
    const { millis, frame } = looks.loadingBetween(startedAt, endedAt);
    const finding = {
      block: located,
      loadingMillis: millis,
      loading: millis >= block.durationMillis / 2 ? (frame ? describeFrame(frame) : 'loading modules') : undefined,
      test: looks.testBetween(startedAt, endedAt),
    };
    for (const listener of this.listeners) listener.onFinding?.(finding);
  }
}

const QUIET: Pick<DiagLogger, 'info' | 'debug' | 'verbose'> = { info() {}, debug() {}, verbose() {} };
