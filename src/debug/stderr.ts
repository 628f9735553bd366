// SPDX-License-Identifier: Apache-2.0
import { writeSync } from 'node:fs';
import { now } from '../system/clock.js';

/** How long exit may wait for a pipe that nobody reads. Milliseconds. */
const MAX_EXIT_WAIT_MILLIS = 100;
const RETRY_MILLIS = 5;
/** What a full pipe has not taken is kept up to here. Bytes. */
const MAX_KEPT_BYTES = 64 * 1024;

/**
 * Writes on stderr at once, so that nothing is lost at exit, but never waits for a reader while the application runs:
 * what a full pipe does not take is kept for the next time.
 */
export class Stderr {
  private _kept = Buffer.alloc(0);
  private readonly _cell = new Int32Array(new SharedArrayBuffer(4));

  /** Whether it is a terminal that shows colours and nobody has asked for none (NO_COLOR). */
  readonly hasColors = process.stderr.isTTY === true && process.stderr.hasColors();

  write(text: string): void {
    if (this._kept.length < MAX_KEPT_BYTES) this._kept = Buffer.concat([this._kept, Buffer.from(text)]);
    this._flush(0);
  }

  /** At exit. */
  end(): void {
    this._flush(MAX_EXIT_WAIT_MILLIS);
  }

  private _flush(maxWaitMillis: number): void {
    const deadline = now() + maxWaitMillis;
    while (this._kept.length > 0) {
      try {
        // With `process.stderr` made above, Node.js has set pipes to refuse rather than wait.
        this._kept = this._kept.subarray(writeSync(2, this._kept));
      } catch (error) {
        const isFull = (error as NodeJS.ErrnoException).code === 'EAGAIN';
        if (!isFull) this._kept = Buffer.alloc(0);
        if (!isFull || now() >= deadline) return;
        Atomics.wait(this._cell, 0, 0, RETRY_MILLIS);
      }
    }
  }
}
