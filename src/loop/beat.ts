// SPDX-License-Identifier: Apache-2.0
import { clearInterval, setInterval } from 'node:timers';
import { now } from './clock.js';

// Kept from load on: fake timers of a test must not stop the beat.
const startTimer = setInterval;
const stopTimer = clearInterval;

export interface Beat {
  readonly timer: object;
  stop(): void;
}

/**
 * The heartbeat of the loop: an unref'd timer that tells how late it is. It also makes sure that the loop turns often
 * enough for a finished block to be noticed, and caps the idle time that libuv loses when a signal interrupts its poll.
 *
 * @param onBeat gets how late the beat is, in milliseconds, 0 or more.
 * @returns its timer, and a function that stops it.
 */
export function startBeat(intervalMillis: number, onBeat: (lateMillis: number) => void): Beat {
  let last = now();
  const timer = startTimer(() => {
    const time = now();
    const late = time - last - intervalMillis;
    last = time;
    onBeat(Math.max(late, 0));
  }, intervalMillis);
  timer.unref();
  return { timer, stop: () => stopTimer(timer) };
}
