// SPDX-License-Identifier: Apache-2.0
import { Slot } from '../system/shared-memory.js';
import type { Tally } from './span-time.js';
import type { StartUp } from './start-up.js';

/** Where it is told what the start of the program took; see `RecorderListener`. */
interface StartListener {
  onStarted(micros: number): void;
}

/** The start of the program: as long as it lasts, what runs under no span makes no block. What that came to is told. */
export class ProgramStart {
  private _startUp: StartUp | undefined;
  /** How much of its time was allowed to block. */
  private _allowedMicros = 0;

  /** @param _nobody has the time that ran under no span. */
  constructor(
    private readonly _nobody: Tally,
    private readonly _slots: Int32Array,
    private readonly _listener: StartListener,
  ) {}

  /** @param startUp undefined where the program has started. */
  begin(startUp: StartUp | undefined): void {
    this._startUp = startUp;
  }

  /** Per callback. */
  get isOn(): boolean {
    return this._startUp !== undefined;
  }

  /** A callback of `resource` begins. @returns whether the start is over, as far as that tells. */
  see(resource: object): boolean {
    if (this._startUp === undefined) return false;
    this._startUp.see(resource);
    return this._startUp.isOver;
  }

  /** So much of it was allowed to block. */
  addAllowed(micros: number): void {
    if (this.isOn) this._allowedMicros += micros;
  }

  /** The program waits for something: perhaps it has started. */
  pause(): void {
    if (this.isOn) this._tell();
  }

  /** An iteration is over: was it the last one of the start? */
  turn(): void {
    if (this._startUp?.isOver) this.end();
  }

  end(): void {
    if (!this.isOn) return;
    this._startUp = undefined;
    this._slots[Slot.Starting] = 0;
    this._tell();
  }

  private _tell(): void {
    this._listener.onStarted(Math.max(this._nobody.totalMicros - this._allowedMicros, 0));
  }
}
