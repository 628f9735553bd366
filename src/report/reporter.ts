// SPDX-License-Identifier: Apache-2.0
import { channel } from 'node:diagnostics_channel';
import type { DiagLogger, Tracer } from '@opentelemetry/api';
import { blame } from '../block/blame.js';
import { causeOf } from '../block/cause.js';
import { locate, type Probe } from '../block/location.js';
import type { ResolvedConfig } from '../config.js';
import { now, wallClockOffset } from '../loop/clock.js';
import { type DelayListener, DelayMeter } from '../loop/delay.js';
import type { EvidenceCollector, LateEvidence } from '../loop/evidence.js';
import type { BusyIteration } from '../loop/recorder.js';
import { type Tally, TallyStamp } from '../loop/tally.js';
import type { LoopListener, LoopWatch } from '../loop/watch.js';
import { CHANNEL_BLOCK } from '../semconv.js';
import type { Block, CodeLocation, StackFrame } from '../types.js';
import { type EventLogger, emitBlockEvent } from './logs.js';
import type { LoopMetrics } from './metrics.js';
import { RateLimit } from './rate-limit.js';
import { blockAttributes, emitBlockSpan, markBlamed, writeTime } from './spans.js';

/** What the reporter writes to; its members are read anew each time, since the SDK hands them over late. */
export interface Telemetry {
  readonly tracer: Tracer;
  readonly logger: EventLogger;
  readonly metrics: LoopMetrics;
}

/** Who saw where in the code the loop was blocked. */
export interface Witness {
  takeProbes(loopCount: number): readonly Probe[];
  readonly mapsSources: boolean;
  mapToSources(frames: readonly StackFrame[], onMapped: (frames: readonly StackFrame[]) => void): void;
}

/** A block that waits for a beat to be reported. */
interface PendingBlock {
  readonly block: Block;
  readonly evidence: LateEvidence;
  readonly notedAt: number;
}

/** A block waits so long for the evidence of its cause, then it goes out with what there is. Milliseconds. */
const MAX_EVIDENCE_MILLIS = 80;

/** A block waits so long for its stack to be mapped to the sources, then it goes out as it is. Milliseconds. */
const MAX_MAPPING_MILLIS = 1_000;

// Kept from load on: fake timers of a test must not hold up a report.
const startTimer = setTimeout;

const blockChannel = channel(CHANNEL_BLOCK);

/** A block in, telemetry out. Never throws: it is called inside async hooks, where that would end the process. */
export class Reporter implements LoopListener {
  watch: Pick<LoopWatch, 'attribution' | 'recorder'> | undefined;
  witness: Witness | undefined;
  private readonly _limit: RateLimit;
  private readonly _complained = new Set<string>();
  private _pending: PendingBlock[] = [];
  /** Blocks whose stacks are being mapped. */
  private readonly _mapping = new Set<Block>();
  private readonly _delay: DelayMeter;

  constructor(
    private readonly _config: ResolvedConfig,
    private readonly _telemetry: Telemetry,
    private readonly _diag: DiagLogger,
    private readonly _evidence: EvidenceCollector,
    delayListener?: DelayListener,
  ) {
    const record = (waitMillis: number): void => this._telemetry.metrics.recordDelay(waitMillis);
    this._delay = new DelayMeter(_config.delayIntervalMillis, record, delayListener);
    this._limit = new RateLimit(_config.maxBlocksPerMinute);
  }

  onIteration(busyMillis: number): void {
    this._delay.addBusy(busyMillis);
  }

  onBusyIteration(iteration: BusyIteration): void {
    this._guard('report a block', () => {
      const block = this._toBlock(iteration, locate(this.witness?.takeProbes(iteration.loopCount) ?? []));
      if (this._isIgnored(block)) return;
      // At once: the span may end before the next beat.
      // A shared block found by samples is no evidence against anybody.
      const blamed = block.shared && !this.watch?.attribution?.isExact ? [] : block.blamed;
      for (const { span } of blamed) {
        const tally = span && TallyStamp.get(span);
        if (tally) this._guard('write on a span', () => markBlamed(tally));
      }
      // The rest waits for a beat, outside of any hook.
      const evidence = this._evidence.ofBlock(iteration.endedAt, block.durationMillis);
      this._pending.push({ block, evidence, notedAt: now() });
    });
  }

  onSpanEnding(tally: Tally, span: NonNullable<Tally['span']>): void {
    this._guard('write on a span', () => {
      const attribution = this.watch?.attribution;
      if (attribution?.isBlocking(tally) && !this._isIgnored(this._toBlock(attribution.snapshot()))) markBlamed(tally);
      if (attribution?.isExact) writeTime(tally, span);
    });
    // A program that ends its last span often shuts the SDK down next, ahead of any beat.
    this._deliver(() => true);
  }

  onBeat(lateMillis: number): void {
    this._guard('record the delay', () => this._delay.beat(lateMillis, this.watch?.recorder));
    this._deliver(({ evidence, notedAt }) => evidence.isComplete() || now() - notedAt > MAX_EVIDENCE_MILLIS);
    this._evidence.beat();
  }

  onExit(): void {
    this._deliver(() => true);
    for (const block of this._mapping) this._emit(block);
    this._mapping.clear();
  }

  private _deliver(isDue: (pending: PendingBlock) => boolean): void {
    if (this._pending.length === 0) return;
    this._guard('record the delay', () => this._delay.flush());
    const due = this._pending.filter(isDue);
    if (due.length === 0) return;
    this._pending = this._pending.filter((pending) => !due.includes(pending));
    for (const pending of due) {
      const evidence = pending.evidence.get();
      const { cpuMillis, gcMillis } = evidence;
      const block = { ...pending.block, cause: causeOf(evidence), cpuMillis, gcMillis };
      if (block.location && this.witness?.mapsSources) this._mapAndEmit(block, block.location, this.witness);
      else this._emit(block);
    }
  }

  private _mapAndEmit(block: Block, location: CodeLocation, witness: Witness): void {
    const emit = (stack: readonly StackFrame[]): void => {
      const frame = stack[0] ?? location.frame;
      if (this._mapping.delete(block)) this._emit({ ...block, location: { ...location, frame, stack } });
    };
    this._mapping.add(block);
    startTimer(() => emit(location.stack), MAX_MAPPING_MILLIS).unref();
    witness.mapToSources(location.stack, emit);
  }

  private _emit(block: Block): void {
    this._guard('report a block', () => this._report(block));
  }

  private _report(block: Block): void {
    const { tracer, logger, metrics } = this._telemetry;
    metrics.recordBlock(block);
    if (blockChannel.hasSubscribers) blockChannel.publish(block);
    const suppressed = this._limit.pass();
    if (suppressed === undefined) return;
    const attributes = blockAttributes(block, suppressed);
    emitBlockSpan(tracer, block, attributes, (span) => {
      this._guard('run blockHook', () => this._config.blockHook?.(block, span));
    });
    emitBlockEvent(logger, block, attributes);
  }

  private _toBlock(iteration: BusyIteration, location?: CodeLocation): Block {
    return blame(iteration, this._config.blockThresholdMillis, wallClockOffset(), location);
  }

  private _isIgnored(block: Block): boolean {
    const { ignoreBlock } = this._config;
    if (ignoreBlock === undefined) return false;
    let ignored = false;
    this._guard('run ignoreBlock', () => {
      ignored = ignoreBlock(block) === true;
    });
    return ignored;
  }

  /** What fails says so once, and the application never hears of it. */
  private _guard(task: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      if (this._complained.has(task)) return;
      this._complained.add(task);
      this._diag.warn(`failed to ${task}; further failures of this kind are not reported`, error);
    }
  }
}
