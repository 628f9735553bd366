// SPDX-License-Identifier: Apache-2.0
import { eventLoopUtilization, now } from '../system/clock.js';
import type { DelayListener } from './delay.js';

const SLOT_MILLIS = 5_000;
/** The window: as long as OpenTelemetry's default export interval. */
const SLOTS = 12;
export const WINDOW_MILLIS = SLOT_MILLIS * SLOTS;

/** Buckets double in 8 steps, from 1 ms to 70 minutes. */
const STEPS_PER_OCTAVE = 8;
const BUCKETS = 22 * STEPS_PER_OCTAVE;

/** What a slot of the window holds about the iterations of 1 ms or more that ended in it. */
class Slot {
  startedAt = 0;
  active = 0;
  idle = 0;
  /** Per bucket of length: how many iterations, and their sum. */
  readonly counts = new Float64Array(BUCKETS);
  readonly sums = new Float64Array(BUCKETS);
  squares = 0;
  cubes = 0;
  max = 0;

  open(): void {
    const { active, idle } = eventLoopUtilization();
    this.startedAt = now();
    this.active = active;
    this.idle = idle;
    this.counts.fill(0);
    this.sums.fill(0);
    this.squares = this.cubes = this.max = 0;
  }
}

/** In milliseconds, but for the utilization. */
export interface DelayStatistics {
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly stddev: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  /** 0 to 1. */
  readonly utilization: number;
}

/**
 * Statistics of the delay over the last minute, whoever asks and how often: an observable instrument is not told which
 * reader collects, and whoever resets on collection gives each reader what the others have left over.
 *
 * No wait is kept. An iteration of length B makes anything from 0 to B wait, evenly, so the time in which an event would
 * have waited longer than w is the sum of B − w over all iterations longer than w: their number and sum are enough.
 */
export class DelayWindow implements DelayListener {
  /** One more than the window is long: the current one is not full. */
  private readonly _slots: Slot[] = [];
  private _current = this._openSlot();

  /** An iteration was busy for so long. Allocates nothing, but for a slot every five seconds in the first minute. */
  addBusy(millis: number): void {
    this.tick();
    const slot = this._current;
    const bucket = bucketOf(millis);
    slot.counts[bucket] = (slot.counts[bucket] as number) + 1;
    slot.sums[bucket] = (slot.sums[bucket] as number) + millis;
    slot.squares += millis ** 2;
    slot.cubes += millis ** 3;
    if (millis > slot.max) slot.max = millis;
  }

  tick(): void {
    if (now() - this._current.startedAt >= SLOT_MILLIS) this._current = this._openSlot();
  }

  read(): DelayStatistics {
    this.tick();
    // A slot lasts until the next one was opened: long, where the loop hung meanwhile.
    const since = now() - WINDOW_MILLIS;
    const slots = this._slots.filter((_, i) => (this._slots[i + 1]?.startedAt ?? now()) >= since);
    const oldest = slots.reduce((a, b) => (a.startedAt <= b.startedAt ? a : b));
    const { active, idle } = eventLoopUtilization();
    const activeMillis = active - oldest.active;
    const idleMillis = idle - oldest.idle;
    const sum = (of: (slot: Slot) => number): number => slots.reduce((total, slot) => total + of(slot), 0);
    const busy = sum((slot) => slot.sums.reduce((total, one) => total + one, 0));
    const elapsed = Math.max(now() - oldest.startedAt, busy, 1);
    const mean = sum((slot) => slot.squares) / 2 / elapsed;
    const max = Math.max(...slots.map((slot) => slot.max));
    // Time in which an event would have waited for longer than the bucket's lower edge.
    const longer = new Float64Array(BUCKETS + 1);
    let count = 0;
    let total = 0;
    for (let i = BUCKETS - 1; i >= 0; i--) {
      count += sum((slot) => slot.counts[i] as number);
      total += sum((slot) => slot.sums[i] as number);
      longer[i] = Math.max(0, total - count * edgeOf(i));
    }
    const quantile = (q: number): number => Math.min(max, quantileOf(longer, busy, (1 - q) * elapsed));
    return {
      min: 0,
      max,
      mean,
      stddev: Math.sqrt(Math.max(0, sum((slot) => slot.cubes) / 3 / elapsed - mean ** 2)),
      p50: quantile(0.5),
      p90: quantile(0.9),
      p99: quantile(0.99),
      utilization: activeMillis + idleMillis > 0 ? activeMillis / (activeMillis + idleMillis) : 0,
    };
  }

  private _openSlot(): Slot {
    const slot = this._slots.length <= SLOTS ? new Slot() : (this._slots.shift() as Slot);
    slot.open();
    this._slots.push(slot);
    return slot;
  }
}

function bucketOf(millis: number): number {
  return Math.min(BUCKETS - 1, Math.max(0, Math.floor(Math.log2(millis) * STEPS_PER_OCTAVE)));
}

function edgeOf(bucket: number): number {
  return 2 ** (bucket / STEPS_PER_OCTAVE);
}

/** The wait that an event exceeds in `target` ms of the time; `longer` falls from edge to edge. */
function quantileOf(longer: Float64Array, busy: number, target: number): number {
  if (target >= busy) return 0;
  let low = 0;
  let above = busy;
  for (let i = 0; i < BUCKETS; i++) {
    const below = longer[i] as number;
    const edge = edgeOf(i);
    if (below <= target) return above === below ? edge : low + ((edge - low) * (above - target)) / (above - below);
    low = edge;
    above = below;
  }
  return low;
}
