// SPDX-License-Identifier: Apache-2.0
import { clearInterval, setInterval } from 'node:timers';
import { now } from '../system/clock.js';

// Kept from load on: fake timers of a test must not stop the beat.
const startTimer = setInterval;
const stopTimer = clearInterval;

export interface Heartbeat {
  /** Beats at this interval from now on, in milliseconds. */
  setPace(intervalMillis: number): void;
  /** Beats at once, as well. */
  now(): void;
  stop(): void;
}

/**
 * The heartbeat of the loop: an unref'd timer that tells how late it is. It also makes sure that the loop turns often
 * enough for a finished block to be noticed, and caps the idle time that libuv loses when a signal interrupts its poll.
 *
 * @param onBeat gets how late the beat is, in milliseconds, 0 or more, and how long after the last one it was due.
 * @param onTimer gets its timer, another one whenever the pace has changed.
 */
export function startHeartbeat(
  intervalMillis: number,
  onBeat: (lateMillis: number, dueAfterMillis: number) => void,
  onTimer: (timer: object) => void,
): Heartbeat {
  let last = now();
  let pace = 0;
  let timer: NodeJS.Timeout | undefined;
  const beat = (): void => {
    const time = now();
    const late = time - last - pace;
    last = time;
    onBeat(Math.max(late, 0), pace);
  };
  const stop = (): void => stopTimer(timer);
  const setPace = (millis: number): void => {
    if (millis === pace) return;
    pace = millis;
    stop();
    timer = startTimer(beat, millis);
    timer.unref();
    onTimer(timer);
  };
  setPace(intervalMillis);
  return { setPace, now: beat, stop };
}
