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
interface EvidenceSnapshot {
  readonly at: number;
  readonly idleTime: number;
  readonly threadTime: ThreadTime | undefined;
  readonly watchdogLateMillis: number | undefined;
  /** Of up to a second before. */
  readonly stolenTime: StolenTime | undefined;
}

/** A block is told about when the loop has turned, and a beat may come in between. */
const KEPT_SNAPSHOTS = 4;

/**
 * A beat after which the loop has done next to nothing needs no new snapshot, or the beats of an idle process would cost
 * more than all else. Milliseconds.
 */
const IDLE_BUSY_MILLIS = 2;
/** But how long both threads were late adds up. Milliseconds. */
const MAX_SNAPSHOT_MILLIS = 100;

/** Collects, from beat to beat, why the loop may be blocked. */
export class EvidenceCollector {
  private readonly _read = threadTimeReader();
  private readonly _gc = new GcPauses();
  private readonly _stolen = new StolenTimes();
  /** The latest last. */
  private readonly _snapshots: EvidenceSnapshot[] = [];
  /** How things stood when the last block was noted, and when it had ended: the start of one right behind it. */
  private _lastEnd: { readonly snapshot: EvidenceSnapshot; readonly endedAt: number } | undefined;

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
    const last = this._snapshots.at(-1);
    if (last !== undefined) {
      const age = now() - last.at;
      if (age < MAX_SNAPSHOT_MILLIS && age - (idleTime() - last.idleTime) < IDLE_BUSY_MILLIS) return;
    }
    this._snapshots.push(this._now());
    if (this._snapshots.length <= KEPT_SNAPSHOTS) return;
    this._snapshots.shift();
    this._gc.forgetBefore((this._snapshots[0] as EvidenceSnapshot).at);
  }

  /** A block of `durationMillis` is over, which ended at `endedAt` on the clock of `now()`. */
  ofBlock(endedAt: number, durationMillis: number): LateEvidence {
    const startedAt = endedAt - durationMillis;
    const snapshot = this._at(startedAt);
    const present = this._now();
    this._lastEnd = { snapshot: present, endedAt };
    const before = snapshot.threadTime;
    const after = present.threadTime;
    // What else ran since the beat is taken to have used a core.
    const busyMillis = present.at - snapshot.at - (present.idleTime - snapshot.idleTime);
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
    const stolenMillis = mayBeStolen ? stolenBetween(snapshot.stolenTime, readStolenTime()) : 0;
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
          ? difference(this._otherThread?.lateMillis, snapshot.watchdogLateMillis)
          : undefined,
        stolenMillis,
      }),
    };
  }

  /** The latest reading of before. A block is noted once the next one has begun, a little later than it ended. */
  private _at(startedAt: number): EvidenceSnapshot {
    const latest = startedAt + SLACK_MILLIS;
    const beat = this._snapshots.findLast(({ at }) => at <= latest) ?? (this._snapshots[0] as EvidenceSnapshot);
    if (this._lastEnd === undefined || this._lastEnd.endedAt > latest) return beat;
    return this._lastEnd.snapshot.at > beat.at ? this._lastEnd.snapshot : beat;
  }

  private _now(): EvidenceSnapshot {
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
