// SPDX-License-Identifier: Apache-2.0
import { channel } from 'node:diagnostics_channel';
import type { DiagLogger, Tracer } from '@opentelemetry/api';
import { blame } from '../block/blame.js';
import { locate, type Probe } from '../block/location.js';
import type { ResolvedConfig } from '../config.js';
import { wallClockOffset } from '../loop/clock.js';
import type { BusyIteration } from '../loop/recorder.js';
import { type Tally, TallyStamp } from '../loop/tally.js';
import type { Attribution, LoopListener } from '../loop/watch.js';
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

/** A block waits so long for its stack to be mapped to the sources, then it goes out as it is. Milliseconds. */
const MAX_MAPPING_MILLIS = 1_000;

// Kept from load on: fake timers of a test must not hold up a report.
const startTimer = setTimeout;

const blockChannel = channel(CHANNEL_BLOCK);

/** A block in, telemetry out. Never throws: it is called inside async hooks, where that would end the process. */
export class Reporter implements LoopListener {
  watch: { readonly attribution: Attribution | undefined } | undefined;
  witness: Witness | undefined;
  private readonly _limit: RateLimit;
  private readonly _complained = new Set<string>();
  private _pending: Block[] = [];
  /** Blocks whose stacks are being mapped. */
  private readonly _mapping = new Set<Block>();

  constructor(
    private readonly _config: ResolvedConfig,
    private readonly _telemetry: Telemetry,
    private readonly _diag: DiagLogger,
  ) {
    this._limit = new RateLimit(_config.maxBlocksPerMinute);
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
      // The rest waits for the next beat, outside of any hook.
      this._pending.push(block);
    });
  }

  onSpanEnding(tally: Tally, span: NonNullable<Tally['span']>): void {
    this._guard('write on a span', () => {
      const attribution = this.watch?.attribution;
      if (attribution?.isBlocking(tally) && !this._isIgnored(this._toBlock(attribution.snapshot()))) markBlamed(tally);
      if (attribution?.isExact) writeTime(tally, span);
    });
    // A program that ends its last span often shuts the SDK down next, ahead of any beat.
    this._deliver();
  }

  onBeat(lateMillis: number): void {
    this._guard('record the delay', () => {
      this._telemetry.metrics.recordDelay(lateMillis, this._config.delayIntervalMillis);
    });
    this._deliver();
  }

  onExit(): void {
    this._deliver();
    for (const block of this._mapping) this._emit(block);
    this._mapping.clear();
  }

  private _deliver(): void {
    if (this._pending.length === 0) return;
    const blocks = this._pending;
    this._pending = [];
    for (const block of blocks) {
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
