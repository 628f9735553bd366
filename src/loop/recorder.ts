// SPDX-License-Identifier: Apache-2.0
import { type Context, type Span, trace } from '@opentelemetry/api';
import { idleTime, loopCount, now } from './clock.js';
import { Tally } from './tally.js';

/** One finished loop iteration that was busy for at least the block threshold. Times are milliseconds of {@link now}. */
export interface BusyIteration {
  readonly endedAt: number;
  readonly busyTime: number;
  /** Every tally that ran in the iteration, in no order. The tally without a span stands for "no span" and native time. */
  readonly tallies: readonly Tally[];
}

/** Where the recorder hands over what it found. Called inside an async hook: must not throw. */
export interface RecorderListener {
  onBusyIteration(iteration: BusyIteration): void;
  /** `span.end()` was called and the span can be written to for the last time. */
  onSpanEnding(tally: Tally, span: Span): void;
}

/** Below this a slice's time is taken as it is; above it, idle time and missed iterations are looked for. */
const LONG_SLICE_MILLIS = 1;

/**
 * Cuts the loop's time into slices, one for each run of code under one active context, and adds them up per span.
 *
 * Everything here runs per callback or per promise job: nothing is allocated (a {@link Tally} once per span apart),
 * nothing is caught, and a clock is read only where the context or the callback changes.
 */
export class SliceRecorder {
  /** Own time of everything that ran under no span, and of native code between callbacks. */
  readonly nobody = new Tally(undefined);

  /** The active context as far as we followed it: the raw store of the context manager. */
  private _context: Context | undefined;
  private _tally: Tally = this.nobody;
  /** When the current slice began. */
  private _since = 0;
  /** When JavaScript last returned to native code; 0 while it runs, or where we could not see it return. */
  private _returnedAt = 0;

  private _loopCount = 0;
  private _idleTime = 0;
  private _iteration = 0;
  private _busyTime = 0;
  private _tallies: (Tally | undefined)[] = [];
  private _tallyCount = 0;

  /** Contexts to go back to when a nested callback returns. */
  private readonly _outerContexts: (Context | undefined)[] = [];
  private _depth = 0;

  private _tallyOf = new WeakMap<Span, Tally>();
  private _startUp = false;
  private _enabled = false;

  /** Reads the store of the context manager; replaced by the context tap. */
  activeContext: () => Context | undefined = noContext;
  /** Called with each recording span when it first gets a tally; set by the span tap. */
  onNewSpan: (span: Span) => void = ignoreSpan;

  constructor(
    private readonly _thresholdMillis: number,
    private readonly _headGapMillis: number,
    private readonly _listener: RecorderListener,
  ) {}

  get enabled(): boolean {
    return this._enabled;
  }

  start(startUp: boolean): void {
    this._enabled = true;
    this._startUp = startUp;
    this._loopCount = loopCount();
    this._idleTime = idleTime();
    this._since = now();
    this._context = this.activeContext();
    this._tally = this._lookUp(this._context);
  }

  stop(): void {
    this._enabled = false;
    this._clearIteration();
    this._outerContexts.length = 0;
    this._depth = 0;
    this._context = undefined;
    this._tally = this.nobody;
    this._tallyOf = new WeakMap();
  }

  /** A callback of the event loop begins (async_hooks `before`), or one nested in another. */
  enterCallback(): void {
    const time = now();
    const count = loopCount();
    if (count !== this._loopCount) {
      this._turn(count, time);
    } else if (this._returnedAt !== 0) {
      this._chargeNative(time);
    }
    this._push();
    const context = this.activeContext();
    if (context !== this._context) this._switchTo(context, time);
  }

  /** A `process.nextTick` callback or promise job begins: no native code can have run since the last one. */
  enterTick(): void {
    this._push();
    const context = this.activeContext();
    if (context !== this._context) {
      this._switchTo(context, this._returnedAt !== 0 ? this._returnedAt : now());
    }
    this._returnedAt = 0;
  }

  /** A callback returns (async_hooks `after`). */
  leaveCallback(): void {
    const depth = this._depth - 1;
    if (depth > 0) {
      this._depth = depth;
      const outer = this._outerContexts[depth];
      if (outer !== this._context) this._switchTo(outer, now());
    } else {
      this._depth = 0;
      this._returnedAt = now();
    }
  }

  /** A promise job begins, where promises are followed by `v8.promiseHooks`, which tells no end. */
  enterPromiseJob(): void {
    const context = this.activeContext();
    if (context !== this._context) this._switchTo(context, now());
    this._returnedAt = 0;
  }

  /** Running code made `context` the active one. */
  enterContext(context: Context | undefined): void {
    if (!this._enabled) return;
    if (context !== this._context) this._switchTo(context, now());
    this._returnedAt = 0;
  }

  /** Running code may have changed the context in a way that tells us no more than that. */
  resync(): void {
    if (this._enabled) this.enterContext(this.activeContext());
  }

  /** `span` is about to end: whatever is to be written on it must be written now. */
  endSpan(span: Span): void {
    const tally = this._tallyOf.get(span);
    if (tally === undefined || !this._enabled) return;
    if (tally === this._tally) {
      const time = now();
      this._charge(time);
      this._since = time;
    }
    this._listener.onSpanEnding(tally, span);
  }

  /** Whether `tally` reached the threshold inside the iteration that is still running. */
  isBlocking(tally: Tally): boolean {
    return tally.iteration === this._iteration && tally.share >= this._thresholdMillis;
  }

  /** Closes the current iteration as if the loop had turned: at exit. */
  flush(): void {
    if (this._enabled) this._turn(loopCount(), now());
  }

  tallyOf(span: Span): Tally | undefined {
    return this._tallyOf.get(span);
  }

  /** The iteration so far, for a span that ends inside its own block. */
  snapshot(): BusyIteration {
    return { endedAt: this._since, busyTime: this._busyTime, tallies: this._ranTallies() };
  }

  private _push(): void {
    this._outerContexts[this._depth++] = this._context;
  }

  private _switchTo(context: Context | undefined, time: number): void {
    this._charge(time);
    this._since = time;
    this._context = context;
    this._tally = this._lookUp(context);
  }

  /** Adds the current slice, up to `time`, to its tally. */
  private _charge(time: number): void {
    let millis = time - this._since;
    if (millis > LONG_SLICE_MILLIS) {
      const idle = idleTime();
      millis -= idle - this._idleTime;
      this._idleTime = idle;
    }
    if (millis > 0) this._add(this._tally, millis, time);
  }

  private _add(tally: Tally, millis: number, time: number): void {
    if (tally.iteration === this._iteration) {
      tally.share += millis;
    } else {
      tally.iteration = this._iteration;
      tally.share = millis;
      this._tallies[this._tallyCount++] = tally;
    }
    tally.time += millis;
    tally.lastRanAt = time;
    this._busyTime += millis;
  }

  /** Same iteration, but JavaScript had returned: what ran until `time` was native code and is nobody's. */
  private _chargeNative(time: number): void {
    const returnedAt = this._returnedAt;
    this._returnedAt = 0;
    this._charge(returnedAt);
    if (time > returnedAt) this._add(this.nobody, time - returnedAt, time);
    this._since = time;
  }

  /** The loop has turned: closes the last iteration and opens the next one. */
  private _turn(count: number, time: number): void {
    const turns = count - this._loopCount;
    this._loopCount = count;
    const idle = idleTime();
    const idled = idle - this._idleTime;
    this._idleTime = idle;
    let native = 0;
    if (this._returnedAt !== 0) {
      native = time - this._returnedAt - idled;
      let ran = this._returnedAt - this._since;
      // More idle time than passed since JavaScript returned: a platform task, which no hook announces, ran after a poll.
      if (native < 0) ran += native;
      if (ran > 0) this._add(this._tally, ran, this._returnedAt);
      this._returnedAt = 0;
    } else {
      const ran = time - this._since - idled;
      if (ran > 0) this._add(this._tally, ran, time - idled);
    }
    this._finishIteration();
    this._since = time;
    this._depth = 0;
    if (turns === 1 && native > this._headGapMillis) this._add(this.nobody, native, time);
  }

  private _finishIteration(): void {
    if (this._busyTime >= this._thresholdMillis) this._report();
    this._clearIteration();
    this._startUp = false;
  }

  private _clearIteration(): void {
    for (let i = 0; i < this._tallyCount; i++) this._tallies[i] = undefined;
    this._tallyCount = 0;
    this._busyTime = 0;
    this._iteration++;
  }

  private _report(): void {
    const tallies = this._ranTallies();
    let busyTime = this._busyTime;
    let endedAt = 0;
    for (const tally of tallies) {
      // Loading modules is no block; a span that blocks while the program starts is one.
      if (this._startUp && tally === this.nobody) busyTime -= tally.share;
      else if (tally.lastRanAt > endedAt) endedAt = tally.lastRanAt;
    }
    if (busyTime < this._thresholdMillis) return;
    this._listener.onBusyIteration({ endedAt, busyTime, tallies });
  }

  private _ranTallies(): Tally[] {
    return this._tallies.slice(0, this._tallyCount) as Tally[];
  }

  private _lookUp(context: Context | undefined): Tally {
    if (context === undefined) return this.nobody;
    const span = trace.getSpan(context);
    if (span === undefined) return this.nobody;
    const tally = this._tallyOf.get(span);
    if (tally !== undefined) return tally;
    const fresh = new Tally(span);
    this._tallyOf.set(span, fresh);
    this.onNewSpan(span);
    return fresh;
  }
}

function noContext(): undefined {
  return undefined;
}

function ignoreSpan(): void {}
