// SPDX-License-Identifier: Apache-2.0
import type { Context, Span } from '@opentelemetry/api';
import { type Iteration, MIN_BUSY_MILLIS, type SpanShare } from '../model.js';
import { idleTime, loopCount, now } from '../system/clock.js';
import { PROMISES_APART } from '../system/promise-hooks.js';
import { type SharedMemory, SLOTS } from '../system/shared-memory.js';
import { AllowedCode } from './allowed-code.js';
import { Backlog, type BacklogListener, type CallbackKind } from './backlog.js';
import { CallDepth } from './call-depth.js';
import { IdleMode } from './idle-mode.js';
import { IterationLedger, type IterationSetAside } from './iteration-ledger.js';
import { JobEnd } from './job-end.js';
import { MissedSwitches } from './missed-switches.js';
import { OverriddenContext, type Override } from './overridden-context.js';
import { ProgramStart } from './program-start.js';
import { PublishedSpans } from './published-spans.js';
import type { ContextReader, HandleReader } from './readers.js';
import { RunCount } from './run-count.js';
import { SpanLookup } from './span-lookup.js';
import type { Tally } from './span-time.js';
import type { StartUp } from './start-up.js';

/** Where the recorder hands over what it found. Called inside an async hook: must not throw. */
export interface RecorderListener extends BacklogListener {
  /** An iteration is over and was busy for {@link MIN_BUSY_MILLIS} or more. */
  onIteration(busyMillis: number): void;
  onBusyIteration(iteration: Iteration): void;
  /**
   * An iteration is over in which the program loaded its modules, or did whatever else it does ahead of its first callback,
   * for {@link MIN_BUSY_MILLIS} or more: no block.
   *
   * @param micros time under no span; a span that blocks meanwhile is a block as ever.
   */
  onStartUp(loopCount: number, micros: number): void;
  /** The program has started, or waits for something: its start took so much of the loop's time under no span, so far. */
  onStarted(micros: number): void;
  /** An iteration that still runs is a block already, and a span that waited for it is about to end. */
  onBlockSoFar(iteration: Iteration): void;
  /**
   * `span` is about to end, and can be written to for the last time. Called only where it ran for at least
   * {@link MIN_TOTAL_MICROS}, or in a block or behind one.
   *
   * @param blockSoFar the iteration that still runs, where the span has reached the threshold in it.
   */
  onSpanEnding(share: SpanShare, span: Span, blockSoFar: Iteration | undefined): void;
  /** Something happens on a loop that was idle. */
  onWake(): void;
}

/** Own time below this is not worth an attribute on every span. */
export const MIN_TOTAL_MICROS = 1000;

/** From here on somebody wants to know of an iteration; no block threshold is lower. */
const NOTED_MICROS = MIN_BUSY_MILLIS * 1000;

/** Below this a slice's time is taken as it is; above it, idle time is looked for. */
const LONG_SLICE_MILLIS = 1;

/**
 * Cuts the loop's time into slices, one for each run of code under one active context, and adds them up per span. Here is
 * only what each slice takes: to enter, to switch, to charge, and the turn of the loop. What has a state of its own besides
 * (how deep callbacks are nested, whose contexts are overridden, idle mode and so on) is in the files around this one.
 *
 * Everything here runs per callback or per promise job: nothing is allocated (a {@link Tally} once per span apart),
 * nothing is caught, and a clock is read only where it can change what is reported.
 */
export class SliceRecorder {
  /** Own time of everything that ran under no span, and of native code between callbacks. */
  readonly nobody: Tally;

  /** The active context as far as we followed it: the raw store of the context manager. */
  private _context: Context | undefined;
  private _tally: Tally;
  /** When the current slice began. */
  protected _since = 0;
  /** When JavaScript last returned to native code; 0 while it runs, or where it does not matter or cannot be seen. */
  private _returnedAt = 0;

  private _loopCount = 0;
  private _idleTime = 0;
  private readonly _ledger = new IterationLedger();
  private readonly _allowed = new AllowedCode(this._ledger);

  private readonly _spans: SpanLookup;
  /** Undefined without a watchdog. */
  private readonly _published: PublishedSpans | undefined;

  private readonly _overridden = new OverriddenContext();

  protected readonly _calls = new CallDepth();

  private readonly _backlog: Backlog;

  private readonly _jobEnd = new JobEnd(() => this._onJobEnd());
  /** How many iterations were blocks so far. */
  blockCount = 0;

  private readonly _thresholdMicros: number;
  private readonly _start: ProgramStart;
  private _enabled = false;

  private _activeContext: ContextReader['active'] = noContext;
  private _contextOf: ContextReader['of'] = noContext;
  private _overrideOf: HandleReader['overrideOf'] = noOverride;
  private _overrideInMidst: HandleReader['overrideInMidst'] = noOverride;
  private _kindOf: HandleReader['kindOf'] = noKind;
  private readonly _missed = new MissedSwitches();

  private readonly _runs: RunCount;
  private readonly _idle: IdleMode;

  /**
   * @param _headMillis native time at the head of an iteration counts only above this.
   * @param memory tells the watchdog which span runs, should the loop never come back.
   * @param seesReturns whether {@link leaveCallback} is called. Else a mark behind the last job tells when JavaScript has
   * returned, and a callback that native code calls in the midst of another's keeps the context until the next change of it
   * is seen.
   */
  constructor(
    thresholdMillis: number,
    private readonly _headMillis: number,
    private readonly _listener: RecorderListener,
    memory: SharedMemory | undefined,
    readonly seesReturns = PROMISES_APART,
  ) {
    this._thresholdMicros = Math.round(thresholdMillis * 1000);
    this._published = memory && new PublishedSpans(memory);
    this._backlog = new Backlog(_listener);
    this._spans = new SpanLookup(this._ledger, this._backlog);
    this.nobody = this._spans.nobody;
    this._tally = this.nobody;
    const slots = memory?.slots ?? new Int32Array(SLOTS);
    this._runs = new RunCount(slots);
    this._start = new ProgramStart(this.nobody, slots, _listener);
    this._idle = new IdleMode(slots, memory, _headMillis);
  }

  get enabled(): boolean {
    return this._enabled;
  }

  /** @param startUp given while the program still loads its modules, which is no block. */
  start(startUp: StartUp | undefined): void {
    this._enabled = true;
    this._start.begin(startUp);
    this._loopCount = loopCount();
    this._idleTime = idleTime();
    this._since = now();
    this._returnedAt = 0;
    this._context = this._activeContext();
    this._tally = this._lookUp(this._context);
  }

  /**
   * Starts in the midst of running code, in a look, in an iteration that has been busy for `headMillis`. Of that head nobody
   * has seen anything: it is taken for that of whose code runs now, in a callback of `resource`.
   */
  startLate(headMillis: number, resource: object): void {
    this.start(undefined);
    const context = this._context;
    const override = context === undefined ? undefined : this._overrideInMidst(resource, context, headMillis);
    if (override !== undefined) this._enterOverridden(override);
    this._published?.publish(this._tally);
    this._calls.beginInMidst(this.seesReturns);
    this._ledger.addHead(this._tally, headMillis, this._since);
    // No tick: their queue may be in the midst of a change.
    this._jobEnd.awaitBehindTicks();
  }

  /** Whether something still runs of which nobody has seen the beginning: its return tells nothing. */
  get isInMidst(): boolean {
    return this._calls.isInMidst;
  }

  /** Whether nothing waits for what was before. */
  get isCaughtUp(): boolean {
    return this._backlog.micros === 0;
  }

  stop(): void {
    this._enabled = false;
    this._idle.stop();
    this._published?.clear();
    this._clearIteration();
    this._calls.forget();
    this._leaveAll();
    this._spans.forget();
  }

  /** Asks `reader` for contexts from now on; undefined: there are none. */
  followContexts(reader: ContextReader | undefined): void {
    this._activeContext = reader?.active ?? noContext;
    this._contextOf = reader?.of ?? noContext;
  }

  /** Asks `reader` for handles from now on; undefined: of none is anything known. */
  followHandles(reader: HandleReader | undefined): void {
    this._overrideOf = reader?.overrideOf ?? noOverride;
    this._overrideInMidst = reader?.overrideInMidst ?? noOverride;
    this._kindOf = reader?.kindOf ?? noKind;
  }

  /** The active context, as the context manager has it. */
  activeContext(): Context | undefined {
    return this._activeContext();
  }

  /** See {@link ContextReader.of}. */
  contextOf(resource: object): Context | undefined {
    return this._contextOf(resource);
  }

  /** See {@link SpanLookup.followSpans}. */
  followSpans(onNewSpan: ((span: Span) => void) | undefined): void {
    this._spans.followSpans(onNewSpan);
  }

  /** A callback of the event loop begins (async_hooks `before`), or one nested in another. */
  enterCallback(resource: object, context: Context | undefined): void {
    if (this._start.isOn) this._see(resource);
    if (this._idle.isOn) this._beginAnew(this._idle.isBeat(resource));
    const count = loopCount();
    if (count !== this._loopCount) this._turn(count);
    else if (this._returnedAt !== 0) this._chargeNative();
    // The end of the last job is to come, and JavaScript has not returned: native code calls back in the midst of it.
    else if (this._jobEnd.isAwaited && this._calls.depth === 0)
      this._calls.interruptJob(this._context, this._overridden);
    this._runs.addCallback();
    if (this._backlog.micros !== 0) this._backlog.enter(this._kindOf(resource));
    const override = context === undefined ? undefined : this._overrideOf(resource, context);
    if (override === undefined) this._enter(context, undefined);
    else this._enterOverridden(override);
    if (!this.seesReturns) this._awaitEnd();
  }

  /** A `process.nextTick` callback begins. */
  enterTick(context: Context | undefined): void {
    const { override } = this._overridden;
    if (override !== undefined) this._beginTick(override);
    this._enterJob(context, override);
    if (!this.seesReturns && this._tally !== this.nobody) this._jobEnd.awaitBehindTicks();
  }

  /** A promise job begins: it runs in the context of who waits for it, whatever connection was read. */
  enterReaction(context: Context | undefined): void {
    this._enterJob(context, undefined);
    if (!this.seesReturns) this._awaitEnd();
  }

  /** A callback returns (async_hooks `after`); see {@link seesReturns}. */
  leaveCallback(): void {
    if (this._calls.leave()) {
      const { context, override } = this._calls;
      if (context !== this._context || override !== this._overridden.override) {
        this._overridden.set(override, this._calls.scopes);
        this._switchTo(context, now());
      }
    } else if (!this._calls.isInMidst) {
      // Native code that follows is nobody's: where this was nobody's too, there is no need to tell them apart.
      this._returnedAt = this._tally === this.nobody ? 0 : now();
    }
  }

  /** A promise job begins, where promises are followed by `v8.promiseHooks`. */
  enterPromiseJob(): void {
    if (this._idle.isOn) this._beginAnew(false);
    if (this._calls.isInMidst) this._calls.leaveAll();
    this._runs.addJob();
    const context = this._activeContext();
    if (context !== this._context || this._overridden.override !== undefined) {
      this._overridden.set(undefined, 0);
      this._switchTo(context, this._returnedAt !== 0 ? this._returnedAt : now());
    }
    this._returnedAt = 0;
    this._awaitEnd();
  }

  /** Counts callbacks and promise jobs as they begin. */
  get job(): number {
    return this._runs.job;
  }

  /** In force now, or waiting for {@link scopes} to be left; to be given back where what was before becomes active again. */
  get override(): Override | undefined {
    return this._overridden.override;
  }

  get scopes(): number {
    return this._overridden.scopes;
  }

  /** Running code made `context` the active one. What the application enters itself is believed, whatever calls back. */
  enterContext(context: Context | undefined): void {
    if (!this._enabled) return;
    // In code that no hook has announced, or behind a nested callback: nobody's, as far as we know.
    if (this._returnedAt !== 0) this._chargeNative();
    if (this._overridden.override !== undefined) this._believe(context);
    if (context !== this._context) this._switchTo(context, now());
    // In a promise job, or where no return is seen at all.
    if (this._calls.depth === 0) this._awaitEnd();
  }

  /** The same, for a scope that {@link leaveScope} is called for ahead of its return. */
  enterScope(context: Context | undefined): void {
    if (!this._enabled) return;
    if (this._returnedAt !== 0) this._chargeNative();
    if (this._overridden.override !== undefined) this._openScope(context);
    if (context !== this._context) this._switchTo(context, now());
    // Else it leaves nothing behind that would have to end.
    if (this.seesReturns && this._calls.depth === 0) this._awaitEnd();
  }

  leaveScope(context: Context | undefined): void {
    if (!this._enabled) return;
    if (this._returnedAt !== 0) this._chargeNative();
    if (this._overridden.scopes > 0) this._closeScope(context);
    if (context !== this._context) this._switchTo(context, now());
    if (this.seesReturns && this._calls.depth === 0) this._awaitEnd();
  }

  private _believe(context: Context | undefined): void {
    this._overridden.set(undefined, this._overridden.scopes);
    this._switchTo(context, now());
  }

  private _openScope(context: Context | undefined): void {
    this._overridden.openScope(context);
    this._switchTo(context, now());
  }

  private _closeScope(context: Context | undefined): void {
    this._overridden.closeScope();
    this._switchTo(context, now());
  }

  /** Running code may have changed the context in a way that tells us no more than that. */
  resync(): void {
    if (this._enabled) this.enterContext(this._activeContext());
  }

  /** The same where what was before a change is active again: `override` and `scopes` are what was true ahead of it. */
  restore(override: Override | undefined, scopes: number): void {
    if (!this._enabled) return;
    if (override === undefined) {
      this.resync();
      return;
    }
    if (this._returnedAt !== 0) this._chargeNative();
    this._overridden.set(override, scopes);
    this._switchTo(this._activeContext(), now());
  }

  /** `span.end()` was called: whatever is to be written on the span must be written now. */
  endSpan(span: Span): void {
    if (!this._enabled) return;
    const tally = this._spans.tallyOf(span);
    if (tally === undefined) return;
    tally.hasEnded = true;
    if (tally === this._tally) this._chargeNow();
    const isBlock = this._ledger.busyMicros >= this._thresholdMicros;
    const behind =
      isBlock ||
      (this._backlog.micros + this._ledger.busyMicros >= this._thresholdMicros && this._backlog.concerns(tally));
    if (behind && tally.iteration === this._ledger.iteration) this._tellBehind(tally);
    if (behind || tally.totalMicros >= MIN_TOTAL_MICROS || tally.stall !== undefined) {
      this._listener.onSpanEnding(tally, span, this._isBlocking(tally) ? this.snapshot() : undefined);
    }
  }

  /**
   * A look of the watchdog saw `context` active in the midst of running code; see {@link MissedSwitches}.
   *
   * @param isPrompt whether it came when it was asked for.
   * @param isBelieved whether it is enough by itself: where not all changes are announced, because hooks came in the midst.
   */
  witness(context: Context | undefined, isPrompt: boolean, isBelieved = false): void {
    if (!this._enabled) return;
    this._missed.look(now(), Math.max(this._since, this._returnedAt));
    // Between two ticks or promise jobs no context is active: that nobody's code runs it takes two looks to believe.
    if (this._spans.isBusy) return;
    // Compared by span: dd-trace's manager makes a context anew each time that it is asked.
    const tally = this._lookUp(context);
    if (isBelieved && isPrompt && tally !== this.nobody) {
      this._followLook(context, tally, this._missed.halfway);
      return;
    }
    if (context === this._context || this._returnedAt !== 0 || tally === this._tally) return;
    const at = this._missed.see(tally, this._since, this._runs.run, isPrompt);
    if (at === undefined) return;
    this._charge(at);
    this._since = at;
    this._tally = tally;
    this._context = context;
  }

  /** Since `time` it is `tally`'s code that runs, in `context`, whatever we have seen. */
  private _followLook(context: Context | undefined, tally: Tally, time: number): void {
    if (this._returnedAt !== 0) {
      this._charge(this._returnedAt);
      this._add(this.nobody, time - this._returnedAt, time);
      this._since = time;
      this._returnedAt = 0;
    }
    if (tally !== this._tally) this._switchTo(context, time);
  }

  /** Whether `tally` reached the threshold inside the iteration that is still running. */
  private _isBlocking(tally: Tally): boolean {
    return (
      tally.iteration === this._ledger.iteration &&
      tally.shareMicros >= this._thresholdMicros &&
      !this._allowed.isRunning
    );
  }

  /**
   * Sets aside what ran so far in this iteration: what runs until {@link endAllowed} makes no block, though it counts as
   * the span's own time, and as delay.
   */
  beginAllowed(): IterationSetAside {
    this._chargeNow();
    this._onIterationEnd();
    return this._allowed.begin();
  }

  endAllowed(aside: IterationSetAside): void {
    this._chargeNow();
    this._onIterationEnd();
    this._start.addAllowed(this._allowed.end(aside));
  }

  private _chargeNow(): void {
    if (this._returnedAt !== 0) this._chargeNative();
    const time = now();
    this._charge(time);
    this._since = time;
  }

  /** The iteration so far, for a span that ends inside its own block. */
  snapshot(): Iteration {
    return {
      loopCount: this._loopCount,
      endedAt: this._ledger.endedAt,
      busyMicros: this._ledger.busyMicros,
      startMicros: this._backlog.micros,
      startTurn: this._backlog.turns,
      shares: this._ledger.tallies(),
      callbacks: this._runs.callbacks,
      isExact: true,
      head: this._ledger.head,
    };
  }

  /** How long the iteration that still runs has been busy, in milliseconds. */
  runningMillis(): number {
    return (this._ledger.busyMicros + this._allowed.micros) / 1000 + now() - this._since;
  }

  /** Closes the current iteration as if the loop had turned: at exit. */
  flush(): void {
    if (!this._enabled) return;
    if (this._idle.isOn) this._beginAnew(false);
    this._turn(loopCount());
    this._start.end();
  }

  /** See {@link IdleMode.followBeat}. */
  followBeat(timer: object): void {
    this._idle.followBeat(timer);
  }

  /** Called in each beat. @returns whether beats may be rare from now on: the loop is idle, and the worker knows. */
  beat(): boolean {
    const mayBeRare = this._idle.beat(this._backlog.micros !== 0);
    if (this._idle.isPause) this._start.pause();
    return mayBeRare;
  }

  /**
   * The first callback since the last beat of an idle loop. What libuv did not count as idle time meanwhile it has lost to a
   * signal; unless it is more than that can be: then something ran that no hook announced.
   */
  private _beginAnew(isBeat: boolean): void {
    const time = now();
    const idle = idleTime();
    if (this._idle.canHaveLost(time - this._since - (idle - this._idleTime))) {
      this._clearIteration();
      this._allowed.clear();
      this._loopCount = loopCount();
      this._runs.turn();
      this._idleTime = idle;
      this._since = time;
      this._returnedAt = 0;
      this._leaveAll();
      this._start.turn();
      if (isBeat) return;
    }
    this._idle.end(time);
    // A hook may fire in it.
    this._listener.onWake();
  }

  /** `tally`'s span ends in the iteration in which it waited, and cannot be told of when that is over. */
  private _tellBehind(tally: Tally): void {
    // Loading modules is no block that anybody could wait for.
    if (this._allowed.isRunning || this._start.isOn) return;
    if (tally.behindMicros >= this._thresholdMicros) this._tellSoFar();
    this._backlog.see(tally);
  }

  private _tellSoFar(): void {
    if (!this._ledger.isNews()) return;
    this._backlog.beginAnew();
    this._listener.onBlockSoFar(this.snapshot());
  }

  /** Native code that follows is nobody's: behind what is nobody's, too, there is no need to tell them apart. */
  private _awaitEnd(): void {
    if (this._tally !== this.nobody) this._jobEnd.await();
  }

  private _onJobEnd(): void {
    if (this._calls.isInMidst) this._calls.leaveAll();
    else if (this.seesReturns) return;
    if (this._tally !== this.nobody) this._returnedAt = now();
  }

  /** Ends the start of the program; where this very iteration has loaded modules for long, only once it is over. */
  private _see(resource: object): void {
    const isSameIteration = loopCount() === this._loopCount;
    if (this._start.see(resource) && isSameIteration && this.runningMillis() * 1000 < this._thresholdMicros) {
      this._start.end();
    }
  }

  /**
   * What ticks and promise jobs have in common: no native code can have run since the last one. And what was under way when
   * the hooks came has returned, or there was nothing: they may come between two ticks.
   */
  protected _enterJob(context: Context | undefined, override: Override | undefined): void {
    if (this._idle.isOn) this._beginAnew(false);
    if (this._calls.isInMidst) this._calls.leaveAll();
    this._runs.addJob();
    this._enter(context, override);
    this._returnedAt = 0;
  }

  private _enter(context: Context | undefined, override: Override | undefined): void {
    if (this.seesReturns) this._calls.enter(this._context, this._overridden);
    if (context !== this._context || override !== this._overridden.override) {
      this._overridden.set(override, 0);
      this._switchTo(context, this._returnedAt !== 0 ? this._returnedAt : now());
    }
  }

  /** A handle calls back that others use than who made it. */
  private _enterOverridden(override: Override): void {
    const { context, user } = override;
    override.tally = user === undefined ? this.nobody : this._spans.tallyIn(user, this._tally);
    this._enter(context, override);
    this._overridden.begin(override);
    // The same handle in the same context as before, but perhaps for another user.
    this._switchTo(context, now());
  }

  /** A tick behind a handle's callback. */
  private _beginTick(override: Override): void {
    if (!this._overridden.beginTick()) return;
    override.tally = this.nobody;
    this._switchTo(this._context, this._returnedAt !== 0 ? this._returnedAt : now());
  }

  private _switchTo(context: Context | undefined, time: number): void {
    // First what can overflow the stack: a RangeError that belongs to the application must find nothing half done.
    const tally = this._lookUp(context);
    if (this._published !== undefined) this._published.publish(tally);
    this._charge(time);
    this._since = time;
    this._context = context;
    this._tally = tally;
  }

  /** Adds the current slice, up to `time`, to its tally. */
  protected _charge(time: number): void {
    let millis = time - this._since;
    if (millis > LONG_SLICE_MILLIS) {
      // Platform tasks (Atomics.waitAsync, WebAssembly) run after a poll that no hook has announced.
      const idle = idleTime();
      millis -= idle - this._idleTime;
      this._idleTime = idle;
    }
    this._add(this._tally, millis, time);
  }

  protected _add(tally: Tally, millis: number, time: number): void {
    this._ledger.add(tally, millis, time);
  }

  /** Same iteration, but JavaScript had returned: what ran until now was native code and is nobody's. */
  private _chargeNative(): void {
    const returnedAt = this._returnedAt;
    const time = now();
    this._returnedAt = 0;
    this._charge(returnedAt);
    this._add(this.nobody, time - returnedAt, time);
    this._since = time;
  }

  /** The loop has turned: closes the last iteration and opens the next one. */
  private _turn(count: number): void {
    const endedCount = this._loopCount;
    const turns = count - endedCount;
    this._loopCount = count;
    const time = now();
    const idle = idleTime();
    const idled = idle - this._idleTime;
    this._idleTime = idle;
    let native = 0;
    if (this._returnedAt !== 0) {
      native = time - this._returnedAt - idled;
      let ran = this._returnedAt - this._since;
      // More idle time than passed since JavaScript returned: a platform task ran after a poll.
      if (native < 0) ran += native;
      this._add(this._tally, ran, this._returnedAt);
      this._returnedAt = 0;
    } else {
      this._add(this._tally, time - this._since - idled, time - idled);
    }
    // Before the report, so that hooks of the application which change the context find everything in order.
    this._since = time;
    this._spans.recover();
    this._leaveAll();
    if (this._published !== undefined) this._published.clear();
    const isBlock = this._ledger.busyMicros + this._allowed.micros >= NOTED_MICROS && this._note(endedCount);
    if (isBlock || this._backlog.micros !== 0) {
      this._backlog.turn(this._ledger.ran, this._ledger.count, this._ledger.busyMicros, isBlock, idled);
    }
    this._clearIteration();
    this._runs.turn();
    this._allowed.clear();
    this._start.turn();
    if (turns === 1 && native > this._headMillis) this._add(this.nobody, native, time);
  }

  /** No callback runs any more, whatever was seen of the end of the last one. */
  private _leaveAll(): void {
    this._context = undefined;
    this._tally = this.nobody;
    this._overridden.set(undefined, 0);
    this._calls.leaveAll();
  }

  private _clearIteration(): void {
    this._onIterationEnd();
    this._ledger.clear();
  }

  /** What follows is no longer part of the iteration; for a subclass. */
  protected _onIterationEnd(): void {}

  /** @returns whether it was a block. */
  private _note(endedCount: number): boolean {
    let busyMicros = this._ledger.busyMicros;
    // Loading modules is no block; a span that blocks while the program starts is one.
    const loading = this._start.isOn && this.nobody.iteration === this._ledger.iteration;
    if (loading) {
      const { shareMicros } = this.nobody;
      busyMicros -= shareMicros;
      if (shareMicros >= NOTED_MICROS && shareMicros > busyMicros) this._listener.onStartUp(endedCount, shareMicros);
    }
    const allMicros = busyMicros + this._allowed.micros;
    if (allMicros >= NOTED_MICROS) this._listener.onIteration(allMicros / 1000);
    if (busyMicros < this._thresholdMicros) return false;
    this.blockCount++;
    this._backlog.beginAnew();
    let tallies = this._ledger.tallies();
    if (loading) tallies = tallies.filter((tally) => tally !== this.nobody);
    const { micros: startMicros, turns: startTurn } = this._backlog;
    this._listener.onBusyIteration({
      loopCount: endedCount,
      endedAt: this._ledger.endedAt,
      busyMicros,
      startMicros,
      startTurn,
      shares: tallies,
      callbacks: this._runs.callbacks,
      isExact: true,
      head: this._ledger.head,
      asyncResource: this._blockedIn(),
    });
    return true;
  }

  /** The iteration was a block: what kind of callback took most of it, where a subclass follows that. */
  protected _blockedIn(): string | undefined {
    return undefined;
  }

  private _lookUp(context: Context | undefined): Tally {
    if (context === undefined) return this.nobody;
    return this._overridden.tallyIn(context) ?? this._spans.tallyIn(context, this._tally);
  }
}

function noContext(): undefined {
  return undefined;
}

function noOverride(): undefined {
  return undefined;
}

function noKind(): CallbackKind {
  return 'other';
}
