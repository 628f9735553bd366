// SPDX-License-Identifier: Apache-2.0
import { channel } from 'node:diagnostics_channel';
import type { DiagLogger, Span, Tracer } from '@opentelemetry/api';
import { blame, renamed } from '../block/blame.js';
import { causeOf } from '../block/cause.js';
import { extentOf } from '../block/extent.js';
import { findInCode } from '../block/location.js';
import type { ResolvedConfig } from '../config.js';
import { type DelayListener, DelayMeter } from '../delay/delay.js';
import type { Iteration, SpanShare, StackSample } from '../model.js';
import type { EvidenceCollector, LateEvidence } from '../monitor/evidence.js';
import type { BeatListener } from '../monitor/watch.js';
import { endOf } from '../otel/span-facts.js';
import { MIN_TOTAL_MICROS, type RecorderListener } from '../recorder/recorder.js';

import { ATTR_BLOCKED, CHANNEL_BLOCK } from '../semconv.js';
import { now, wallClockOffset } from '../system/clock.js';
import type { Block, StackFrame, StartUpTime } from '../types.js';
import { outwardBlock } from '../words/paths.js';
import { type EventLogger, emitBlockEvent } from './logs.js';
import type { LoopMetrics } from './metrics.js';
import { OpenBlock } from './open-block.js';
import { RateLimit } from './rate-limit.js';
import { RunningBlock } from './running-block.js';
import { blockAttributes, markBlamed, writeTime } from './spans.js';
import { Stalls } from './stalls.js';
import { emitStartUp, StartUpReport } from './start-up-report.js';

/** What the reporter writes to; its members are read anew each time, since the SDK hands them over late. */
export interface Telemetry {
  readonly tracer: Tracer;
  readonly logger: EventLogger;
  readonly metrics: LoopMetrics;
}

/** Who saw where in the code the loop was blocked. */
export interface Witness {
  /** The loop turns again. */
  beat(): void;
  takeSamples(loopCount: number): readonly StackSample[];
  /** Whether more can be known of a stack: its sources, or the module that it loads. */
  canResolve(frames: readonly StackFrame[]): boolean;
  resolve(frames: readonly StackFrame[], onResolved: (frames: readonly StackFrame[]) => void): void;
  /** What is known without an answer. */
  resolveNow(frames: readonly StackFrame[]): readonly StackFrame[];
}

/** A block that waits for a beat to be reported. */
interface PendingBlock {
  readonly open: OpenBlock;
  readonly evidence: LateEvidence;
  readonly notedAt: number;
}

/** What was seen of a block of the iteration that still runs. */
interface Seen {
  readonly evidence: LateEvidence;
  readonly samples: readonly StackSample[];
  /** How many callbacks of the iteration had run when it began. */
  readonly callbacksBefore: number;
}

/** A block waits so long for the evidence of its cause, then it goes out with what there is. Milliseconds. */
const MAX_EVIDENCE_MILLIS = 80;

/** A block waits so long for its stack to be mapped to the sources, then it goes out as it is. Milliseconds. */
const MAX_MAPPING_MILLIS = 1_000;

/** A start-up that was seen nowhere in the code is only worth a line where it took so long. Milliseconds. */
const ALWAYS_TOLD_MILLIS = 1_000;

// Kept from load on: fake timers of a test must not hold up a report.
const startTimer = setTimeout;
const afterPoll = setImmediate;

const blockChannel = channel(CHANNEL_BLOCK);

/** A block in, telemetry out. Never throws: it is called inside async hooks, where that would end the process. */
export class Reporter implements RecorderListener, BeatListener {
  private readonly _limit: RateLimit;
  private readonly _complained = new Set<string>();
  private _pending: PendingBlock[] = [];
  /** What is to be done with blocks whose stacks are being mapped. */
  private readonly _mapping = new Set<() => void>();
  /** The block that still runs, where a span that waited for it has ended already. */
  private _running: RunningBlock | undefined;
  private readonly _seen = new Map<OpenBlock, Seen>();
  /** How many callbacks of that iteration had run when it was last told. */
  private _toldCallbacks = 0;
  /** How much of the start-up has been told. */
  private _toldStartUpMicros = 0;
  private readonly _startUp = new StartUpReport();
  /** The start of the program, on its way to be reported. */
  private _started: StartUpTime | undefined;
  private readonly _stalls: Stalls;
  private readonly _delay: DelayMeter;

  constructor(
    private readonly _config: ResolvedConfig,
    private readonly _telemetry: Telemetry,
    private readonly _diag: DiagLogger,
    private readonly _evidence: EvidenceCollector,
    private readonly _witness: Witness | undefined,
    delayListener?: DelayListener,
  ) {
    const record = (waitMillis: number): void => this._telemetry.metrics.recordDelay(waitMillis);
    this._delay = new DelayMeter(record, delayListener);
    this._limit = new RateLimit(_config.maxBlocksPerMinute);
    this._stalls = new Stalls(_config.blockThresholdMillis * 1000);
  }

  onIteration(busyMillis: number): void {
    this._delay.addBusy(busyMillis);
  }

  onBusyIteration(iteration: Iteration): void {
    this._guard('report a block', () => {
      const running = this._running ?? new RunningBlock();
      this._running = undefined;
      this._tell(iteration, running);
      for (const open of running.parts) this._close(open, iteration);
      this._seen.clear();
      this._toldCallbacks = 0;
    });
  }

  onStartUp(loopCount: number): void {
    this._guard('report the start-up', () => this._startUp.addSamples(this._witness?.takeSamples(loopCount) ?? []));
  }

  onStarted(micros: number): void {
    const newMicros = micros - this._toldStartUpMicros;
    if (newMicros < this._config.blockThresholdMillis * 1000) return;
    this._toldStartUpMicros = micros;
    this._guard('report the start-up', () => {
      const time = this._startUp.sum(newMicros);
      if (time.location !== undefined || time.durationMillis >= ALWAYS_TOLD_MILLIS) this._started = time;
    });
  }

  onBlockSoFar(iteration: Iteration): void {
    this._guard('report a block', () => {
      this._running ??= new RunningBlock();
      this._tell(iteration, this._running);
    });
  }

  onRanBehind(tally: SpanShare, ranAt: number, ranUntil: number, turn: number): void {
    this._guard('find stalled spans', () => this._stalls.onRanBehind(tally, ranAt, ranUntil, turn));
  }

  onCaughtUp(): void {
    this._stalls.onCaughtUp();
  }

  onSpanEnding(tally: SpanShare, span: Span, blockSoFar: Iteration | undefined): void {
    this._guard('write on a span', () => {
      if (blockSoFar && !this._isIgnored(this._toBlock(blockSoFar))) markBlamed(tally);
      if (tally.totalMicros >= MIN_TOTAL_MICROS) writeTime(tally, span);
      this._stalls.mark(tally);
    });
    // A program that ends its last span often shuts the SDK down next, ahead of any beat.
    this._deliver(() => true);
  }

  onBeat(lateMillis: number, dueAfterMillis: number, runningMillis: number | undefined): void {
    this._guard('record the delay', () => this._delay.beat(lateMillis, dueAfterMillis, runningMillis));
    this._markStalled();
    this._deliverStartUp();
    this._deliver(({ evidence, notedAt }) => evidence.isComplete() || now() - notedAt > MAX_EVIDENCE_MILLIS);
    this._evidence.beat();
  }

  onWake(): void {
    this._guard('find the cause of blocks', () => {
      this._witness?.beat();
      this._evidence.beat();
    });
  }

  onExit(): void {
    this._markStalled();
    this._deliverStartUp();
    this._deliver(() => true);
    for (const emit of this._mapping) emit();
    this._mapping.clear();
  }

  private _markStalled(): void {
    this._guard('write on a span', () => this._stalls.markAll());
  }

  /** The iteration is a block so far. */
  private _tell(iteration: Iteration, running: RunningBlock): void {
    const { endedAt, loopCount, callbacks } = iteration;
    const samples = this._witness?.takeSamples(loopCount) ?? [];
    const open = running.tell(this._toBlock(iteration), (part, behindMillis) => {
      const block = { ...part, ...findInCode(samples, timesOf(part)) };
      return this._isIgnored(block) ? undefined : this._open(block, iteration, behindMillis);
    });
    if (open === undefined) return;
    const before = this._seen.get(open);
    const seen = [...(before?.samples ?? []), ...samples];
    const callbacksBefore = before?.callbacksBefore ?? this._toldCallbacks;
    open.block = { ...open.block, ...findInCode(seen, timesOf(open.block), callbacks - callbacksBefore) };
    this._toldCallbacks = callbacks;
    const evidence = this._evidence.ofBlock(endedAt, open.block.durationMillis);
    this._seen.set(open, { evidence, samples: seen, callbacksBefore });
  }

  private _open(block: Block, { startMicros, startTurn, isExact }: Iteration, behindMillis: number): OpenBlock {
    const open = new OpenBlock(block, startMicros + behindMillis * 1000, startTurn, this._telemetry, this._limit);
    if (isExact) this._stalls.addBlock(open);
    return open;
  }

  /** The iteration is over that `open` was a block of, mostly all of it. */
  private _close(open: OpenBlock, { shares, isExact }: Iteration): void {
    const { block } = open;
    // At once: the span may end before the next beat.
    // A shared block found by samples is no evidence against anybody.
    const blamed = block.shared && !isExact ? [] : block.blamed;
    for (const [i, { span }] of blamed.entries()) {
      const tally = span && shares.find((tally) => tally.span === span);
      if (tally === undefined) continue;
      this._guard('write on a span', () => {
        const isMarked = markBlamed(tally);
        if (i === 0) open.isUnmarked = !isMarked && endOf(span) !== undefined;
      });
    }
    // The rest waits for a beat, outside of any hook.
    const evidence = this._seen.get(open)?.evidence;
    if (evidence) this._pending.push({ open, evidence, notedAt: now() });
  }

  private _deliver(isDue: (pending: PendingBlock) => boolean): void {
    if (this._pending.length === 0) return;
    this._guard('record the delay', () => this._delay.flush());
    const due = this._pending.filter(isDue);
    if (due.length === 0) return;
    this._pending = this._pending.filter((pending) => !due.includes(pending));
    for (const { open, evidence: late } of due) {
      const evidence = late.get();
      const { cpuMillis, gcMillis } = evidence;
      open.block = { ...renamed(open.block), cause: causeOf(evidence), cpuMillis, gcMillis };
      this._whenMapped(framesOf(open.block), (frames) => {
        open.block = withFrames(open.block, frames);
        this._guard('report a block', () => this._report(open));
      });
    }
  }

  private _deliverStartUp(): void {
    const time = this._started;
    if (time === undefined) return;
    this._started = undefined;
    const endTimeMillis = Date.now();
    const { location } = time;
    this._whenMapped(location?.stack ?? [], (stack) => {
      const mapped = location && { ...location, frame: stack[0] ?? location.frame, stack };
      this._guard('report the start-up', () =>
        emitStartUp(
          { ...time, location: mapped },
          this._config.stackPaths,
          this._telemetry.logger,
          this._diag,
          endTimeMillis,
        ),
      );
    });
  }

  /** Calls `emit` with `frames` in their sources, or as they are where nobody finds those in time. */
  private _whenMapped(frames: readonly StackFrame[], emit: (frames: readonly StackFrame[]) => void): void {
    const witness = this._witness;
    if (frames.length === 0 || !witness?.canResolve(frames)) {
      emit(frames);
      return;
    }
    const found = (resolved: readonly StackFrame[]): void => {
      if (this._mapping.delete(giveUp)) emit(resolved);
    };
    const giveUp = (): void => found(witness.resolveNow(frames));
    this._mapping.add(giveUp);
    // Behind another long block the timer runs ahead of an answer that has been there for long, which the poll brings.
    startTimer(() => afterPoll(giveUp).unref(), MAX_MAPPING_MILLIS).unref();
    witness.resolve(frames, found);
  }

  private _report(open: OpenBlock): void {
    const { block } = open;
    const { logger, metrics } = this._telemetry;
    metrics.recordBlock(block);
    if (blockChannel.hasSubscribers) blockChannel.publish(block);
    const span = open.span();
    if (span === undefined) return;
    const told = outwardBlock(block, this._config.stackPaths);
    const attributes = blockAttributes(told, open.suppressed ?? 0);
    span.setAttributes(attributes);
    open.linkLater();
    // Else no query for blamed spans would find it.
    if (open.isUnmarked) span.setAttribute(ATTR_BLOCKED, true);
    this._guard('run blockHook', () => this._config.blockHook?.(block, span));
    span.end(extentOf(block, Date.now()).endTimeMillis);
    emitBlockEvent(logger, told, attributes);
  }

  private _toBlock(iteration: Iteration): Block {
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

/** From when to when a block was, on the clock of {@link now}. */
function timesOf({ startTimeMillis, endTimeMillis }: Block): { startedAt: number; endedAt: number } {
  const offset = wallClockOffset();
  return { startedAt: startTimeMillis - offset, endedAt: endTimeMillis - offset };
}

/** All frames that are told of a block, one behind the other; see {@link withFrames}. */
function framesOf({ location, functions, hottest }: Block): readonly StackFrame[] {
  const times = hottest ? [...functions, hottest] : functions;
  return [...(location?.stack ?? []), ...times.map(({ frame }) => frame)];
}

/** The block with `frames` in place of those that {@link framesOf} lists. */
function withFrames(block: Block, frames: readonly StackFrame[]): Block {
  const { location, functions, hottest } = block;
  const stack = frames.slice(0, location?.stack.length ?? 0);
  const rest = frames.slice(stack.length);
  return {
    ...block,
    location: location && { ...location, frame: stack[0] ?? location.frame, stack },
    functions: functions.map((time, i) => ({ ...time, frame: rest[i] ?? time.frame })),
    hottest: hottest && { ...hottest, frame: rest[functions.length] ?? hottest.frame },
  };
}
