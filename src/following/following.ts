// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { tapAsyncResource, tapContextManager } from '../hooks/context-tap.js';
import { currentResource } from '../hooks/current-resource.js';
import { tapHandles } from '../hooks/handle-tap.js';
import { installHooks } from '../hooks/hooks.js';
import { whenRegistered } from '../hooks/registration-watch.js';
import { SpanTap } from '../hooks/span-tap.js';
import { TracerTap } from '../hooks/tracer-tap.js';
import { registered } from '../otel/registered.js';
import { IDLE_INTERVAL_MILLIS } from '../recorder/idle-mode.js';
import type { SliceRecorder } from '../recorder/recorder.js';
import type { StartUp } from '../recorder/start-up.js';
import { hasIterationClock } from '../system/clock.js';
import { HAS_ASYNC_CONTEXT_FRAME } from '../system/promise-hooks.js';
import { type Attribution, halfOfBlock } from './attribution.js';

/** Follows every callback: a recorder with the hooks that feed it, put on and taken off as often as is wanted. */
export class Following implements Attribution {
  readonly kind = 'exact';
  readonly mostLateMillis: number;
  /** What takes off what is on, in the order in which it was put on: the taps, and the hooks. */
  private readonly _taps: (() => void)[] = [];
  private readonly _hooks: (() => void)[] = [];
  private readonly _spanTap: SpanTap;
  private readonly _tracerTap = new TracerTap();
  private _tappedManager: object | undefined;
  private _untapManager: (() => void) | undefined;
  /** Whether it was put on in the midst of things: V8 does not announce an `await` that had begun before. */
  private _isLate = false;

  /**
   * @param onNewSpanClass called with the first span of each class.
   * @param _tracerProvider the SDK's, once there is one.
   */
  constructor(
    private readonly _recorder: SliceRecorder,
    onNewSpanClass: (span: Span) => void,
    thresholdMillis: number,
    private readonly _tracerProvider: () => object | undefined = () => undefined,
  ) {
    this._spanTap = new SpanTap(_recorder, onNewSpanClass);
    this.mostLateMillis = halfOfBlock(thresholdMillis);
  }

  get isOn(): boolean {
    return this._hooks.length > 0;
  }

  /** How many blocks there were so far. */
  get blockCount(): number {
    return this._recorder.blockCount;
  }

  /** Whether nothing waits for a block any more. */
  get isCaughtUp(): boolean {
    return this._recorder.isCaughtUp;
  }

  start(startUp: StartUp | undefined): void {
    if (this.isOn) return;
    if (!hasIterationClock()) {
      throw new Error('this Node.js does not count its loop iterations: it takes 20.18, 22.8 or newer');
    }
    this._isLate = false;
    this._putOn(() => this._recorder.start(startUp));
  }

  /**
   * Follows from here on, in the midst of whatever runs: in a look of the watchdog. The iteration has been busy for
   * `headMillis`, of which nobody has seen anything.
   *
   * @throws like {@link start}.
   */
  startLate(headMillis: number): void {
    this._isLate = true;
    this._putOn(() => this._recorder.startLate(headMillis, currentResource()));
  }

  private _putOn(start: () => void): void {
    try {
      if (this._taps.length === 0) this._tap();
      this._hooks.push(() => this._recorder.stop());
      this._hooks.push(installHooks(this._recorder));
      start();
    } catch (error) {
      this.stop();
      throw new Error(`hooks cannot be installed: ${error}`, { cause: error });
    }
  }

  private _tap(): void {
    const recorder = this._recorder;
    this._spanTap.on();
    this._taps.push(() => this._spanTap.off());
    this._taps.push(
      whenRegistered(
        () => this._followManager(),
        () => this._followTracers(),
      ),
    );
    this._taps.push(() => this._leaveManager());
    this._followManager();
    this._taps.push(() => this._tracerTap.off());
    this._followTracers();
    this._taps.push(tapAsyncResource(recorder));
    this._taps.push(tapHandles(recorder));
  }

  stop(): void {
    this.pause();
    takeOff(this._taps);
  }

  /**
   * Off for now: all that costs. The taps stay and only pass on. To take them off and put them on again would cost more: V8
   * never again inlines what was once called through a method that has changed (measured: 0.3 to 0.9 µs a span).
   */
  pause(): void {
    takeOff(this._hooks);
  }

  followBeat(timer: object): void {
    this._recorder.followBeat(timer);
  }

  beat(): void {
    this._followManager();
    this._followTracers();
  }

  paceMillis(usual: number): number {
    return this._recorder.beat() ? Math.max(usual, IDLE_INTERVAL_MILLIS) : usual;
  }

  look(isPrompt: boolean): void {
    const recorder = this._recorder;
    // What had begun ahead of the hooks ends without a word.
    const isUnannounced = recorder.isInMidst || (this._isLate && HAS_ASYNC_CONTEXT_FRAME);
    recorder.witness(recorder.activeContext(), isPrompt, isUnannounced);
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

  /** An SDK may be started at any time. */
  private _followTracers(): void {
    if (this._taps.length > 0) this._tracerTap.follow(this._tracerProvider());
  }

  private _leaveManager(): void {
    this._untapManager?.();
    this._untapManager = undefined;
    this._tappedManager = undefined;
  }
}

function takeOff(undo: (() => void)[]): void {
  for (const each of undo.reverse()) each();
  undo.length = 0;
}
