// SPDX-License-Identifier: Apache-2.0
import { channel } from 'node:diagnostics_channel';
import type { DiagLogger, Tracer } from '@opentelemetry/api';
import { blame } from '../block/blame.js';
import type { ResolvedConfig } from '../config.js';
import { wallClockOffset } from '../loop/clock.js';
import { type DelayListener, DelayMeter } from '../loop/delay.js';
import type { BusyIteration, SliceRecorder } from '../loop/recorder.js';
import { type Tally, TallyStamp } from '../loop/tally.js';
import type { LoopListener } from '../loop/watch.js';
import { CHANNEL_BLOCK } from '../semconv.js';
import type { Block } from '../types.js';
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

const blockChannel = channel(CHANNEL_BLOCK);

/** A block in, telemetry out. Never throws: it is called inside async hooks, where that would end the process. */
export class Reporter implements LoopListener {
  recorder: SliceRecorder | undefined;
  private readonly _limit: RateLimit;
  private readonly _complained = new Set<string>();
  private _pending: Block[] = [];
  private readonly _delay: DelayMeter;

  constructor(
    private readonly _config: ResolvedConfig,
    private readonly _telemetry: Telemetry,
    private readonly _diag: DiagLogger,
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
      const block = this._toBlock(iteration);
      if (this._isIgnored(block)) return;
      // At once: the span may end before the next beat.
      for (const { span } of block.blamed) {
        const tally = span && TallyStamp.get(span);
        if (tally) this._guard('write on a span', () => markBlamed(tally));
      }
      // The rest waits for the next beat, outside of any hook.
      this._pending.push(block);
    });
  }

  onSpanEnding(tally: Tally, span: NonNullable<Tally['span']>): void {
    this._guard('write on a span', () => {
      const recorder = this.recorder;
      if (recorder?.isBlocking(tally) && !this._isIgnored(this._toBlock(recorder.snapshot()))) markBlamed(tally);
      writeTime(tally, span);
    });
    // A program that ends its last span often shuts the SDK down next, ahead of any beat.
    this._deliver();
  }

  onBeat(lateMillis: number): void {
    this._guard('record the delay', () => this._delay.beat(lateMillis, this.recorder));
    this._deliver();
  }

  onExit(): void {
    this._deliver();
  }

  private _deliver(): void {
    if (this._pending.length === 0) return;
    this._guard('record the delay', () => this._delay.flush());
    const blocks = this._pending;
    this._pending = [];
    for (const block of blocks) this._guard('report a block', () => this._emit(block));
  }

  private _emit(block: Block): void {
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

  private _toBlock(iteration: BusyIteration): Block {
    return blame(iteration, this._config.blockThresholdMillis, wallClockOffset());
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
