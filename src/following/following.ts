// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { tapAsyncResource, tapContextManager } from '../hooks/context-tap.js';
import { tapHandles } from '../hooks/handle-tap.js';
import { installHooks } from '../hooks/hooks.js';
import { whenContextManagerAppears } from '../hooks/manager-watch.js';
import { tapSpanEnd } from '../hooks/span-tap.js';
import { registered } from '../otel/registered.js';
import { IDLE_INTERVAL_MILLIS } from '../recorder/idle-mode.js';
import type { SliceRecorder } from '../recorder/recorder.js';
import type { StartUp } from '../recorder/start-up.js';
import { hasIterationClock } from '../system/clock.js';
import type { Attribution } from './attribution.js';

/** Follows every callback: a recorder with the hooks that feed it, put on and taken off as often as is wanted. */
export class Following implements Attribution {
  readonly kind = 'exact';
  /** What takes off what is on, in the order in which it was put on. */
  private readonly _undo: (() => void)[] = [];
  private _tappedManager: object | undefined;
  private _untapManager: (() => void) | undefined;

  /** @param _onNewSpanClass called with the first span of each class. */
  constructor(
    private readonly _recorder: SliceRecorder,
    private readonly _onNewSpanClass: (span: Span) => void,
  ) {}

  get isOn(): boolean {
    return this._undo.length > 0;
  }

  start(startUp: StartUp | undefined): void {
    if (this.isOn) return;
    if (!hasIterationClock()) {
      throw new Error('this Node.js does not count its loop iterations: it takes 20.18, 22.8 or newer');
    }
    const recorder = this._recorder;
    this._undo.push(tapSpanEnd(recorder, this._onNewSpanClass));
    this._undo.push(whenContextManagerAppears(() => this._followManager()));
    this._undo.push(() => this._leaveManager());
    this._followManager();
    this._undo.push(tapAsyncResource(recorder));
    this._undo.push(tapHandles(recorder));
    recorder.start(startUp);
    this._undo.push(() => recorder.stop());
    try {
      this._undo.push(installHooks(recorder));
    } catch (error) {
      this.stop();
      throw new Error(`hooks cannot be installed: ${error}`, { cause: error });
    }
  }

  stop(): void {
    for (const undo of this._undo.reverse()) undo();
    this._undo.length = 0;
  }

  followBeat(timer: object): void {
    this._recorder.followBeat(timer);
  }

  beat(): void {
    this._followManager();
  }

  paceMillis(usual: number): number {
    return this._recorder.beat() ? Math.max(usual, IDLE_INTERVAL_MILLIS) : usual;
  }

  look(_askedAt: number, isPrompt: boolean): void {
    this._recorder.witness(this._recorder.activeContext(), isPrompt);
  }

  runningMillis(): number {
    return this._recorder.runningMillis();
  }

  allow(): () => void {
    const aside = this._recorder.beginAllowed();
    return () => this._recorder.endAllowed(aside);
  }

  flush(): void {
    this._recorder.flush();
  }

  /** The application may register another context manager at any time. */
  private _followManager(): void {
    const manager = registered()?.context;
    if (manager === undefined || manager === this._tappedManager) return;
    this._leaveManager();
    this._tappedManager = manager;
    this._untapManager = tapContextManager(manager, this._recorder);
    this._recorder.resync();
  }

  private _leaveManager(): void {
    this._untapManager?.();
    this._untapManager = undefined;
    this._tappedManager = undefined;
  }
}
