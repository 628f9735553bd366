// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { blame } from '../block/blame.js';
import { framesOf } from '../block/frames.js';
import type { ResolvedConfig } from '../config.js';
import type { DelayMeter } from '../delay/delay.js';
import type { Iteration, OpenBlock, SpanShare, StackSample } from '../model.js';
import { MIN_TOTAL_MICROS, type RecorderListener } from '../recorder/recorder.js';
import { now, wallClockOffset } from '../system/clock.js';
import type { Guard } from '../system/guard.js';
import type { Block, StartUpTime } from '../types.js';
import { BlockPart, located } from './block-part.js';
import type { EvidenceCollector } from './evidence.js';
import { type LateSampler, LateSamples } from './late-samples.js';
import { RunningBlock } from './running-block.js';
import { Sources, type StackSource } from './sources.js';
import { type StallListener, Stalls } from './stalls.js';
import { StartUpTimes } from './start-up-time.js';
import type { BeatListener } from './watch.js';

/** Who writes down what is found. Called inside async hooks: must not throw. */
export interface BlockListener extends StallListener {
  /**
   * The span has blocked for as long as `share` says, and is to be marked as long as it can be written to.
   *
   * @param block which it is blamed for; undefined where it ends in the midst of it.
   */
  onBlamed(share: SpanShare, block: OpenBlock | undefined): void;
  /** The span is about to end, and has run for as long as `share` says in all. */
  onSpanTime(share: SpanShare, span: Span): void;
  /** All is known of the block that ever will be. */
  onBlock(block: OpenBlock): void;
  /** @param endTimeMillis when that was known, in milliseconds since the Unix epoch. */
  onStartUp(time: StartUpTime, endTimeMillis: number): void;
}

/** Who sees the blocked thread from outside. */
export interface StackSampler extends StackSource, LateSampler {
  /** The loop turns again. */
  beat(): void;
  /** What was seen of this iteration. */
  takeSamples(loopCount: number): readonly StackSample[];
}

/** A block waits so long for the evidence of its cause, then it goes out with what there is. Milliseconds. */
const MAX_EVIDENCE_MILLIS = 80;

/** A block that waits for a beat to be reported. */
interface PendingBlock {
  readonly part: BlockPart;
  readonly notedAt: number;
}

/**
 * An iteration in, a block out, with what the watchdog and the heartbeat know of it. Never throws: it is called inside
 * async hooks, where that would end the process.
 */
export class BlockMonitor implements RecorderListener, BeatListener {
  /** The block that still runs, where a span that waited for it has ended already. */
  private _running: RunningBlock | undefined;
  private _pending: PendingBlock[] = [];
  private readonly _sources: Sources;
  private readonly _lateSamples: LateSamples;
  private readonly _stalls: Stalls;
  private readonly _startUp: StartUpTimes;

  constructor(
    private readonly _config: Pick<ResolvedConfig, 'attribution' | 'blockThresholdMillis' | 'ignoreBlock'>,
    private readonly _listener: BlockListener,
    private readonly _delay: DelayMeter,
    private readonly _evidence: EvidenceCollector,
    private readonly _sampler: StackSampler | undefined,
    private readonly _guard: Guard,
  ) {
    this._sources = new Sources(_sampler);
    this._lateSamples = new LateSamples(_sampler);
    this._stalls = new Stalls(_config.blockThresholdMillis * 1000, _listener);
    this._startUp = new StartUpTimes(_config.blockThresholdMillis);
  }

  /** Whether all blocks that are over have been reported. */
  get isSettled(): boolean {
    return this._pending.length === 0 && this._lateSamples.isIdle && this._sources.isIdle;
  }

  onIteration(busyMillis: number): void {
    this._delay.addBusy(busyMillis);
  }

  onBusyIteration(iteration: Iteration): void {
    this._guard.run('report a block', () => {
      const running = this._running ?? new RunningBlock();
      this._running = undefined;
      this._tell(iteration, running);
      for (const part of running.parts) this._close(part, iteration);
    });
  }

  onBlockSoFar(iteration: Iteration): void {
    this._guard.run('report a block', () => {
      this._running ??= new RunningBlock();
      this._tell(iteration, this._running);
    });
  }

  onStartUp(loopCount: number): void {
    this._guard.run('report the start-up', () => this._startUp.addSamples(this._samplesOf(loopCount)));
  }

  onStarted(micros: number): void {
    this._guard.run('report the start-up', () => this._startUp.started(micros));
  }

  onRanBehind(share: SpanShare, ranAt: number, ranUntil: number, turn: number): void {
    this._guard.run('find stalled spans', () => this._stalls.onRanBehind(share, ranAt, ranUntil, turn));
  }

  onCaughtUp(): void {
    this._stalls.onCaughtUp();
  }

  onSpanEnding(share: SpanShare, span: Span, blockSoFar: Iteration | undefined): void {
    this._guard.run('write on a span', () => {
      if (blockSoFar && !this._isIgnored(this._toBlock(blockSoFar))) this._listener.onBlamed(share, undefined);
      // Followed on demand, it would be no more than what ran in blocks.
      const isWhole = this._config.attribution === 'exact';
      if (isWhole && share.totalMicros >= MIN_TOTAL_MICROS) this._listener.onSpanTime(share, span);
      this._stalls.mark(share);
    });
    // A program that ends its last span often shuts the SDK down next, ahead of any beat.
    this._deliver(() => true);
  }

  onWake(): void {
    this._guard.run('find the cause of blocks', () => {
      this._sampler?.beat();
      this._evidence.beat();
    });
  }

  onBeat(lateMillis: number, dueAfterMillis: number, runningMillis: number | undefined): void {
    this._guard.run('record the delay', () => this._delay.beat(lateMillis, dueAfterMillis, runningMillis));
    this._guard.run('write on a span', () => this._stalls.markAll());
    this._deliverStartUp();
    this._deliver(({ part, notedAt }) => part.evidence?.isComplete() || now() - notedAt > MAX_EVIDENCE_MILLIS);
    this._evidence.beat();
  }

  onExit(): void {
    this._guard.run('write on a span', () => this._stalls.markAll());
    this._deliverStartUp();
    this._deliver(() => true);
    this._lateSamples.giveUp();
    this._sources.giveUp();
    // It may go on, as a guard of tests has it: what comes is measured from here.
    this._evidence.beat();
  }

  private _samplesOf(loopCount: number): readonly StackSample[] {
    return this._sampler?.takeSamples(loopCount) ?? [];
  }

  /** The iteration is a block so far. */
  private _tell(iteration: Iteration, running: RunningBlock): void {
    const { startMicros, startTurn, endedAt, loopCount, callbacks, isExact } = iteration;
    const samples = this._samplesOf(loopCount);
    const part = running.tell(this._toBlock(iteration), callbacks, (block, behindMillis, callbacksBefore) => {
      const seen = located(block, samples);
      if (this._isIgnored(seen)) return undefined;
      const begun = new BlockPart(seen, startMicros + behindMillis * 1000, startTurn, callbacksBefore);
      if (isExact) this._stalls.addBlock(begun);
      return begun;
    });
    part?.see(samples, callbacks, this._evidence.ofBlock(endedAt, part.block.durationMillis));
  }

  /** The iteration is over that `part` was a block of, mostly all of it. */
  private _close(part: BlockPart, { shares }: Iteration): void {
    const { block } = part;
    // At once: the span may end before the next beat.
    for (const { span } of block.blamed) {
      const share = span && shares.find((share) => share.span === span);
      if (share !== undefined) this._listener.onBlamed(share, part);
    }
    // The rest waits for a beat, outside of any hook.
    this._pending.push({ part, notedAt: now() });
  }

  private _deliver(isDue: (pending: PendingBlock) => boolean): void {
    if (this._pending.length === 0) return;
    this._guard.run('record the delay', () => this._delay.flush());
    const due = this._pending.filter(isDue);
    if (due.length === 0) return;
    this._pending = this._pending.filter((pending) => !due.includes(pending));
    for (const { part } of due) this._guard.run('report a block', () => this._conclude(part));
  }

  private _conclude(part: BlockPart): void {
    part.conclude();
    const { startTimeMillis, endTimeMillis, durationMillis, thresholdMillis, blamed } = part.block;
    const offset = wallClockOffset();
    this._lateSamples.find(startTimeMillis - offset, endTimeMillis - offset, (samples, pausedMillis) => {
      const isNobodys = blamed.every(({ span }) => span === undefined);
      if (pausedMillis > 0 && isNobodys && durationMillis - pausedMillis < thresholdMillis) return;
      if (samples.length > 0) part.seeLate(samples);
      this._sources.find(framesOf(part.block), (frames) => {
        part.resolve(frames);
        this._listener.onBlock(part);
      });
    });
  }

  private _deliverStartUp(): void {
    const time = this._startUp.take();
    if (time === undefined) return;
    const endTimeMillis = Date.now();
    const { location } = time;
    this._guard.run('report the start-up', () =>
      this._sources.find(location?.stack ?? [], (stack) => {
        const mapped = location && { ...location, frame: stack[0] ?? location.frame, stack };
        this._listener.onStartUp({ ...time, location: mapped }, endTimeMillis);
      }),
    );
  }

  private _toBlock(iteration: Iteration): Block {
    return blame(iteration, this._config.blockThresholdMillis, wallClockOffset());
  }

  private _isIgnored(block: Block): boolean {
    const { ignoreBlock } = this._config;
    if (ignoreBlock === undefined) return false;
    let ignored = false;
    this._guard.run('run ignoreBlock', () => {
      ignored = ignoreBlock(block) === true;
    });
    return ignored;
  }
}
