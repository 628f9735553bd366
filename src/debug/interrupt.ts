// SPDX-License-Identifier: Apache-2.0
import { now } from '../system/clock.js';

/**
 * Has the last word where a signal ends the process (Ctrl-C, or a runner that is through with a child): where nobody else
 * listens to it we do, say it, and then send the signal once more.
 *
 * As long as somebody listens a signal waits for the loop, and Ctrl-C would do nothing where the loop never comes back,
 * which is when it is wanted most. So we listen only while the loop turns, from when the watchdog has looked at a block
 * once: see {@link listen} and {@link letGo}. A signal between the start of a block and the first look at it is lost. A
 * person presses again; whoever sends SIGTERM does not, and may do so right behind a block of which nothing has been told
 * yet: there we listen from the start, and until a block has lasted for long.
 */
export class Interrupt {
  private _isListening = false;
  /** Nothing has blocked, or the watchdog stands aside. */
  private _isUnseen: boolean;
  private _turnedAt = now();
  private _isOver = false;

  private readonly _onSignal = (): void => {
    if (process.listenerCount(this._signal) > 1 + signalExitListeners()) return;
    this._isOver = true;
    this._stop();
    this._run();
    process.kill(process.pid, this._signal);
  };

  /**
   * @param _run called before the end; must not throw.
   * @param _patienceMillis how long a block lasts before the signal is let go.
   */
  constructor(
    private readonly _signal: NodeJS.Signals,
    private readonly _patienceMillis: number,
    private readonly _run: () => void,
  ) {
    this._isUnseen = _patienceMillis === 0;
    this.listen();
  }

  /** The loop turns. Called inside an async hook: does not throw. */
  listen(): void {
    if (this._patienceMillis > 0) this._turnedAt = now();
    if (this._isListening || this._isUnseen || this._isOver) return;
    this._isListening = true;
    try {
      // First, so that a listener of the application's that is there for one signal only is still there.
      process.prependListener(this._signal, this._onSignal);
    } catch {
      // The signal ends the process without a word.
    }
    // A look may come in the midst of that, and finds nothing to remove yet.
    if (!this._isListening) process.removeListener(this._signal, this._onSignal);
  }

  /** The watchdog looks at a blocked loop: from now on the signal ends the process at once. */
  letGo(): void {
    // A look may come in the midst of our own last word.
    if (this._isOver || now() - this._turnedAt < this._patienceMillis) return;
    this._isUnseen = false;
    this._stop();
  }

  private _stop(): void {
    this._isListening = false;
    process.removeListener(this._signal, this._onSignal);
  }
}

/**
 * How many listeners are those of https://github.com/tapjs/signal-exit, which also ends the process only where nobody
 * else listens: each would wait for the other. Its versions 3 and 4 tell each other in the same way.
 */
function signalExitListeners(): number {
  const emitters = [
    (process as { __signal_exit_emitter__?: { count?: unknown } }).__signal_exit_emitter__,
    (globalThis as Record<symbol, { count?: unknown } | undefined>)[Symbol.for('signal-exit emitter')],
  ];
  return emitters.reduce((sum, emitter) => sum + Number(emitter?.count ?? 0), 0);
}
