// SPDX-License-Identifier: Apache-2.0
import { startImmediate, startTimer } from '../system/timers.js';

/** Asks somebody who may never answer: each answer is waited for so long, then something stands in for it. */
export class Answers {
  /** What gives up on each answer that is still to come. */
  private readonly _waiting = new Set<() => void>();

  /** @param _maxMillis how long an answer is waited for. */
  constructor(private readonly _maxMillis: number) {}

  /** Whether no answer is to come. */
  get isIdle(): boolean {
    return this._waiting.size === 0;
  }

  /** No answer will come any more. */
  giveUp(): void {
    for (const giveUp of this._waiting) giveUp();
  }

  /**
   * Calls `onAnswer` once, with the answer or with what stands in for it.
   *
   * @returns to be called with the answer.
   */
  protected _await<T extends unknown[]>(onAnswer: (...answer: T) => void, standIn: () => T): (...answer: T) => void {
    const answered = (...answer: T): void => {
      if (this._waiting.delete(giveUp)) onAnswer(...answer);
    };
    const giveUp = (): void => answered(...standIn());
    this._waiting.add(giveUp);
    // Behind another long block the timer runs ahead of an answer that has been there for long, which the poll brings.
    startTimer(() => startImmediate(giveUp).unref(), this._maxMillis).unref();
    return answered;
  }
}
