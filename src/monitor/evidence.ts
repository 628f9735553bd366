// SPDX-License-Identifier: Apache-2.0
import type { Evidence } from '../model.js';
import { idleTime, now } from '../system/clock.js';
import { GcPauses } from '../system/gc.js';
import {
  readStolenTime,
  STOLEN_TIME_RESOLUTION_MILLIS,
  type StolenTime,
  StolenTimes,
  stolenBetween,
} from '../system/stolen-time.js';
import { type ThreadTime, threadTimeReader } from '../system/thread-time.js';

/** The beat is itself part of an iteration that may turn out to be a block. */
const SLACK_MILLIS = 1;

/** What is known of a block; asked for some time after it, because much is told late. */
export interface LateEvidence {
  /** Whether everything is in. */
  isComplete(): boolean;
  get(): Evidence;
}

/** Another thread that should be in time, whatever happens to this one. */
export interface OtherThread {
  /** By how much it was late so far, in milliseconds; undefined where there is none. */
  readonly lateMillis: number | undefined;
  /** Until when that is known. */
  readonly lateUntil: number;
}

/** So long after a block its garbage collections are told. Milliseconds. */
const GC_TOLD_MILLIS = 10;

/** How things stood at a beat. */
interface Standing {
  readonly at: number;
  readonly idleTime: number;
  readonly threadTime: ThreadTime | undefined;
  readonly watchdogLateMillis: number | undefined;
  /** Of up to a second before. */
  readonly stolenTime: StolenTime | undefined;
}

/** A block is told about when the loop has turned, and a beat may come in between. */
const KEPT_STANDINGS = 4;

/**
 * A beat after which the loop has done next to nothing needs no new standing, or the beats of an idle process would cost
 * more than all else. Milliseconds.
 */
const IDLE_BUSY_MILLIS = 2;
/** But how long both threads were late adds up. Milliseconds. */
const MAX_STANDING_MILLIS = 100;

/** Collects, from beat to beat, why the loop may be blocked. */
export class EvidenceCollector {
  private readonly _read = threadTimeReader();
  private readonly _gc = new GcPauses();
  private readonly _stolen = new StolenTimes();
  /** The latest last. */
  private readonly _standings: Standing[] = [];
  /** How things stood when the last block was noted, and when it had ended: the start of one right behind it. */
  private _lastEnd: { readonly standing: Standing; readonly endedAt: number } | undefined;

  constructor(private readonly _otherThread: OtherThread | undefined) {}

  start(): void {
    this._gc.start();
    this.beat();
  }

  stop(): void {
    this._gc.stop();
  }

  /** The loop has turned: what comes is measured from here. */
  beat(): void {
    const last = this._standings.at(-1);
    if (last !== undefined) {
      const age = now() - last.at;
      if (age < MAX_STANDING_MILLIS && age - (idleTime() - last.idleTime) < IDLE_BUSY_MILLIS) return;
    }
    this._standings.push(this._now());
    if (this._standings.length <= KEPT_STANDINGS) return;
    this._standings.shift();
    this._gc.forgetBefore((this._standings[0] as Standing).at);
  }

  /** A block of `durationMillis` is over, which ended at `endedAt` on the clock of `now()`. */
  ofBlock(endedAt: number, durationMillis: number): LateEvidence {
    const startedAt = endedAt - durationMillis;
    const standing = this._at(startedAt);
    const present = this._now();
    this._lastEnd = { standing: present, endedAt };
    const before = standing.threadTime;
    const after = present.threadTime;
    // What else ran since the beat is taken to have used a core.
    const busyMillis = present.at - standing.at - (present.idleTime - standing.idleTime);
    const otherMillis = Math.max(busyMillis - durationMillis, 0);
    let cpuMillis: number | undefined;
    let queuedMillis: number | undefined;
    if (before && after) {
      cpuMillis = clamp(after.cpuMillis - before.cpuMillis - otherMillis, durationMillis);
      if (before.queuedMillis !== undefined && after.queuedMillis !== undefined) {
        queuedMillis = clamp(after.queuedMillis - before.queuedMillis, durationMillis - cpuMillis);
      }
    }
    const mayBeStolen =
      cpuMillis !== undefined && durationMillis - cpuMillis - (queuedMillis ?? 0) >= STOLEN_TIME_RESOLUTION_MILLIS;
    const stolenMillis = mayBeStolen ? stolenBetween(standing.stolenTime, readStolenTime()) : 0;
    const isOtherKnown = (): boolean => (this._otherThread?.lateUntil ?? 0) > endedAt;
    return {
      isComplete: () =>
        now() - present.at >= GC_TOLD_MILLIS && (isOtherKnown() || this._otherThread?.lateMillis === undefined),
      get: () => ({
        durationMillis,
        cpuMillis,
        queuedMillis,
        gcMillis: clamp(this._gc.millisBetween(endedAt - durationMillis, endedAt), durationMillis),
        bothLateMillis: isOtherKnown()
          ? difference(this._otherThread?.lateMillis, standing.watchdogLateMillis)
          : undefined,
        stolenMillis,
      }),
    };
  }

  /** The latest reading of before. A block is noted once the next one has begun, a little later than it ended. */
  private _at(startedAt: number): Standing {
    const latest = startedAt + SLACK_MILLIS;
    const beat = this._standings.findLast(({ at }) => at <= latest) ?? (this._standings[0] as Standing);
    if (this._lastEnd === undefined || this._lastEnd.endedAt > latest) return beat;
    return this._lastEnd.standing.at > beat.at ? this._lastEnd.standing : beat;
  }

  private _now(): Standing {
    return {
      at: now(),
      idleTime: idleTime(),
      threadTime: this._read(),
      watchdogLateMillis: this._otherThread?.lateMillis,
      stolenTime: this._stolen.recent(),
    };
  }
}

function difference(later: number | undefined, sooner: number | undefined): number | undefined {
  return later === undefined || sooner === undefined ? undefined : later - sooner;
}

function clamp(millis: number, most: number): number {
  return Math.min(Math.max(millis, 0), most);
}
