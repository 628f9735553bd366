// SPDX-License-Identifier: Apache-2.0
import { context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { Watchdog } from '../watchdog/watchdog.js';
import { startBeat } from './beat.js';
import { hasIterationClock } from './clock.js';
import { tapConnections } from './connection-tap.js';
import { tapAsyncResource, tapContextManager } from './context-tap.js';
import { installHooks } from './hooks.js';
import { registeredContextManager, whenContextManagerAppears } from './manager-watch.js';
import { type RecorderListener, SliceRecorder } from './recorder.js';
import { tapSpanEnd } from './span-tap.js';
import { StartUp } from './start-up.js';

export interface LoopListener extends RecorderListener {
  /** The loop turned in time, or late by so many milliseconds. */
  onBeat(lateMillis: number): void;
  /** The process exits: what is still to be said must be said now. */
  onExit(): void;
}

/** Everything that watches the loop of this thread: put on by {@link start}, taken off without a trace by {@link stop}. */
export class LoopWatch {
  /** Undefined where this Node.js does not count its iterations: then only the delay is measured. */
  readonly recorder: SliceRecorder | undefined;
  private readonly _undo: (() => void)[] = [];
  private _tappedManager: object | undefined;
  private _untapManager: (() => void) | undefined;

  constructor(
    thresholdMillis: number,
    private readonly _intervalMillis: number,
    private readonly _listener: LoopListener,
    private readonly _watchdog: Watchdog | undefined,
  ) {
    if (hasIterationClock())
      this.recorder = new SliceRecorder(thresholdMillis, _intervalMillis, _listener, _watchdog?.memory);
  }

  start(): void {
    const recorder = this.recorder;
    const startUp = StartUp.now();
    if (recorder) {
      this._undo.push(tapSpanEnd(recorder, (span) => this._watchdog?.learnResource(span)));
      this._undo.push(whenContextManagerAppears(() => this._followManager(recorder)));
      this._undo.push(() => this._untapManager?.());
      this._followManager(recorder);
      this._undo.push(tapAsyncResource(recorder));
      this._undo.push(tapConnections(recorder));
      recorder.start(startUp);
      this._undo.push(() => recorder.stop());
      this._undo.push(installHooks(recorder));
    }
    const onExit = (): void => {
      recorder?.flush();
      this._listener.onExit();
      this._watchdog?.stop(true);
    };
    process.once('exit', onExit);
    this._undo.push(() => process.removeListener('exit', onExit));
    // In the root context, or every beat would count as a callback of the span that happened to be active.
    context.with(ROOT_CONTEXT, () => {
      const beat = startBeat(this._intervalMillis, (lateMillis) => {
        if (recorder) this._followManager(recorder);
        this._watchdog?.beat();
        this._listener.onBeat(lateMillis);
      });
      startUp?.expect(beat.timer);
      this._undo.push(() => beat.stop());
    });
  }

  /** A look of the watchdog interrupts whatever runs now. */
  look(): void {
    this.recorder?.witness(this.recorder.activeContext());
  }

  stop(): void {
    this._watchdog?.stop(false);
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
