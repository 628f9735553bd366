// SPDX-License-Identifier: Apache-2.0
// Random programs on a clock of the test's. A model that knows the program, and need not find anything out, adds up whose
// time it is; the recorder, which only sees what hooks and taps tell it, has to come to the same. PROPERTY_RUNS is how many,
// PROPERTY_SEED which: a number, or `random`.
import { type Context, createContextKey, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import type { Iteration, SpanShare } from '../../src/model.js';
import type { Override } from '../../src/recorder/overridden-context.js';
import type { Tally } from '../../src/recorder/span-time.js';
import { Rest, SharedMemory, Slot } from '../../src/system/shared-memory.js';

/** Microseconds; the recorder is told milliseconds. */
const clock = vi.hoisted(() => ({ time: 0, idle: 0, count: 1 }));
/** What the context manager says. */
const manager = vi.hoisted(() => ({ active: 0 }));
/** The recorder's own ticks, and the context that each was made in. */
const ticks = vi.hoisted(() => {
  const queue: { readonly run: () => void; readonly context: number }[] = [];
  const { nextTick } = process;
  const caught = { queue, areCaught: false, restore: () => Object.assign(process, { nextTick }) };
  process.nextTick = (run: () => void, ...args: unknown[]) => {
    if (caught.areCaught) queue.push({ run, context: manager.active });
    else nextTick(run, ...args);
  };
  return caught;
});
vi.mock('../../src/system/clock.js', async (importOriginal) => ({
  ...(await importOriginal<object>()),
  now: () => clock.time / 1000,
  idleTime: () => clock.idle / 1000,
  loopCount: () => clock.count,
}));
const { SliceRecorder } = await import('../../src/recorder/recorder.js');
ticks.restore();

/** The lowest that there is, so that nearly every iteration is told. */
const THRESHOLD_MICROS = 1_000;
const HEAD_MICROS = 20_000;
/** What a loop at rest can lose to a signal: 100 ms between two beats, and 20 by which they are late. */
const LOSABLE_AT_REST_MICROS = 120_000;
const BEAT_MICROS = 20_000;
const SPANS = 5;
const NOBODY = 'nobody';

/** What runs synchronously. Contexts are indices of {@link contexts}. */
type Step =
  | { readonly do: 'spend'; readonly micros: number }
  /** `context.with` */
  | { readonly do: 'scope'; readonly context: number; readonly body: readonly Step[] }
  /** `enterWith` */
  | { readonly do: 'enter'; readonly context: number }
  /** Native code, or `AsyncResource#runInAsyncScope`, calls back. */
  | { readonly do: 'nested'; readonly context: number; readonly body: readonly Step[] }
  | { readonly do: 'allowed'; readonly body: readonly Step[] }
  | { readonly do: 'end'; readonly span: number }
  /** The watchdog looks. */
  | { readonly do: 'look' };

/** A tick or a promise job. */
interface Job {
  readonly do: 'tick' | 'reaction';
  readonly context: number;
  readonly body: readonly Step[];
}

/** What the loop does, one after the other. */
type Turn =
  | { readonly do: 'callback'; readonly context: number; readonly body: readonly Step[]; readonly jobs: readonly Job[] }
  /** A callback of one of two handles, which somebody else uses than who made it. */
  | {
      readonly do: 'handle';
      readonly handle: 0 | 1;
      readonly context: number;
      readonly user: number;
      readonly body: readonly Step[];
      readonly jobs: readonly Job[];
    }
  | { readonly do: 'native'; readonly micros: number }
  | { readonly do: 'poll'; readonly idle: number; readonly turns: number }
  /** So many beats with nothing in between but what is lost to a signal: not idle, as libuv counts. */
  | { readonly do: 'beats'; readonly count: number; readonly lost: number };

const micros = fc.oneof(
  fc.constantFrom(0, 1, 999, 1_000, 1_001, 19_999),
  fc.integer({ min: 0, max: 3_000 }),
  fc.integer({ min: 0, max: 60_000 }),
);
/** None, one without a span, two of each span; half of the time one of the first, so that they meet. */
const context = fc.oneof(fc.constantFrom(2, 3), fc.integer({ min: 0, max: 1 + 2 * SPANS }));
/** Somebody's. */
const spanContext = fc.oneof(fc.constantFrom(2, 3), fc.integer({ min: 2, max: 1 + 2 * SPANS }));

const { body } = fc.letrec<{ body: Step[]; step: Step }>((tie) => ({
  body: fc.array(tie('step'), { maxLength: 5, depthIdentifier: 'step' }),
  step: fc.oneof(
    { depthIdentifier: 'step', depthSize: 'small', withCrossShrink: true },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('spend' as const), micros }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('enter' as const), context }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('end' as const), span: fc.integer({ min: 0, max: SPANS - 1 }) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('look' as const) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('scope' as const), context, body: tie('body') }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('nested' as const), context, body: tie('body') }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('allowed' as const), body: tie('body') }) },
  ),
}));
const jobs = fc.array(fc.record({ do: fc.constantFrom('tick' as const, 'reaction' as const), context, body }), {
  maxLength: 3,
});
const turn: fc.Arbitrary<Turn> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('callback' as const), context, body, jobs }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('handle' as const),
      handle: fc.constantFrom(0 as const, 1 as const),
      context: spanContext,
      user: context,
      body,
      jobs,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('native' as const), micros }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('poll' as const), idle: micros, turns: fc.constantFrom(1, 1, 1, 2) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('beats' as const),
      count: fc.constantFrom(1, 5, 20),
      lost: fc.constantFrom(0, 0, 5_000, 90_000, 121_000),
    }),
  },
);
const program = fc.array(turn, { minLength: 1, maxLength: 20 });
/** Native code calls back while the application runs in the context of a handle's maker on its own account. */
const RARE: Turn[] = [
  {
    do: 'handle',
    handle: 0,
    context: 2,
    user: 4,
    body: [
      {
        do: 'scope',
        context: 2,
        body: [
          { do: 'nested', context: 6, body: [] },
          { do: 'spend', micros: 5_000 },
        ],
      },
      { do: 'spend', micros: 3_000 },
    ],
    jobs: [],
  },
  { do: 'poll', idle: 0, turns: 1 },
];

/** Whose time it was in one iteration, in microseconds. */
interface Told {
  readonly loopCount: number;
  readonly busyMicros: number;
  readonly shares: Readonly<Record<string, number>>;
  /** How long the iteration had been busy when each of them ran first. */
  readonly behind: Readonly<Record<string, number>>;
  readonly callbacks: number;
}

/** Adds up, per iteration and in all, what it is told of each piece of time. */
class Model {
  /** Iterations that were blocks. */
  readonly blocks: Told[] = [];
  /** Busy milliseconds of each iteration that was busy for 1 ms or more; what was allowed included. */
  readonly busy: number[] = [];
  readonly totals: Record<string, number> = {};
  private _shares: Record<string, number> = {};
  private _behind: Record<string, number> = {};
  private _allowedMicros = 0;
  private _callbacks = 0;

  get busyMicros(): number {
    return sumOf(this._shares);
  }

  charge(name: string, amount: number): void {
    if (amount === 0) return;
    this._behind[name] ??= this.busyMicros;
    this._shares[name] = (this._shares[name] ?? 0) + amount;
    this.totals[name] = (this.totals[name] ?? 0) + amount;
  }

  addCallback(): void {
    this._callbacks++;
  }

  /** What `run` charges is no part of the iteration. */
  allow(run: () => void): void {
    const [shares, behind] = [this._shares, this._behind];
    this._shares = {};
    this._behind = {};
    run();
    this._allowedMicros += this.busyMicros;
    this._shares = shares;
    this._behind = behind;
  }

  close(loopCount: number): void {
    const { busyMicros } = this;
    const shares = this._shares;
    if (busyMicros >= THRESHOLD_MICROS) {
      this.blocks.push({ loopCount, busyMicros, shares, behind: this._behind, callbacks: this._callbacks });
    }
    if (busyMicros + this._allowedMicros >= 1_000) this.busy.push((busyMicros + this._allowedMicros) / 1_000);
    this.forget();
  }

  /** What ran so far in this iteration is not told. */
  forget(): void {
    this._shares = {};
    this._behind = {};
    this._allowedMicros = 0;
    this._callbacks = 0;
  }
}

/** The context that runs, as the program knows it. */
interface Frame {
  context: number;
  /** The handle that calls back in it, as long as the application has not entered another by itself for good. */
  override: { readonly maker: number; user: number; isMixed: boolean } | undefined;
  /** How many contexts it has entered since and will leave again. */
  scopes: number;
  /** Whether it is a promise job's. */
  isJob: boolean;
}

/** Node.js and OpenTelemetry, as far as the recorder sees them: runs a program, and tells the model whose time it is. */
class World {
  readonly model = new Model();
  readonly blocks: Told[] = [];
  readonly busy: number[] = [];
  readonly endings = new Map<string, SpanShare>();
  /** Spans that end ahead of the end of the program: a little of what runs under one later need not be remembered. */
  readonly ended = new Set<string>();

  private readonly _memory = new SharedMemory();
  private readonly _spans = Array.from({ length: SPANS }, (_, i) => ({ name: `span ${i}` }) as unknown as Span);
  private readonly _contexts = contextsOf(this._spans);
  private readonly _recorder: InstanceType<typeof SliceRecorder>;
  private readonly _beatTimer = {};
  private readonly _handles: { override: Override | undefined }[] = [{ override: undefined }, { override: undefined }];

  /** Who ran last before the loop went on. */
  private _lastRan = NOBODY;
  /** What passed since, idle time not counted. */
  private _nativeMicros = 0;
  private _turns = 0;
  private _loopCount = 1;

  /** @param _seesReturns as with AsyncContextFrame; else as where async_hooks follows promises. */
  constructor(private readonly _seesReturns: boolean) {
    Object.assign(clock, { time: 1_000_000, idle: 500_000, count: 1 });
    const listener = {
      onIteration: (millis: number) => this.busy.push(millis),
      onBusyIteration: (iteration: Iteration) => this.blocks.push(told(iteration)),
      onStartUp() {},
      onStarted() {},
      onBlockSoFar: (iteration: Iteration) => {
        const { busyMicros, shares } = told(iteration);
        expect(sumOf(shares)).toBe(busyMicros);
        // The slice that runs is not cut.
        expect(busyMicros).toBeLessThanOrEqual(this.model.busyMicros);
      },
      onSpanEnding: (share: SpanShare, span: Span) => this.endings.set(nameOf(span), share),
      onRanBehind() {},
      onCaughtUp() {},
      onWake() {},
    };
    const settings = [THRESHOLD_MICROS / 1_000, HEAD_MICROS / 1_000, listener, this._memory] as const;
    this._recorder = new SliceRecorder(...settings, _seesReturns);
    const active = (): Context | undefined => this._contexts[manager.active];
    this._recorder.followContexts({ active, of: active });
    this._recorder.followHandles({
      overrideOf: (resource) => (resource as { override?: Override }).override,
      overrideInMidst: () => undefined,
      kindOf: () => 'other',
    });
    this._recorder.followBeat(this._beatTimer);
  }

  async run(turns: readonly Turn[]): Promise<void> {
    ticks.queue.length = 0;
    manager.active = 0;
    this._recorder.start(undefined);
    for (const each of turns) {
      ticks.areCaught = true;
      this._do(each);
      ticks.areCaught = false;
      // Where nothing tells when ticks have returned, a promise job does.
      await undefined;
    }
    this._settle(true);
    this._recorder.flush();
    for (const span of this._spans) this._recorder.endSpan(span);
    this._recorder.stop();
  }

  get nobodyMicros(): number {
    return this._recorder.nobody.totalMicros;
  }

  private _do(each: Turn): void {
    switch (each.do) {
      case 'callback':
        this._callback({}, each, undefined);
        break;
      case 'handle': {
        const handle = this._handles[each.handle] as { override: Override | undefined };
        const [maker, user] = [this._contexts[each.context] as Context, this._contexts[each.user]];
        // One object for all that it ever does.
        if (handle.override) Object.assign(handle.override, { context: maker, user });
        else handle.override = { context: maker, user, tally: this._recorder.nobody };
        this._callback(handle, each, { maker: each.context, user: each.user, isMixed: false });
        break;
      }
      case 'native':
        clock.time += each.micros;
        this._nativeMicros += each.micros;
        return;
      case 'poll':
        this._poll(each.idle, each.turns);
        return;
      case 'beats':
        for (let i = 0; i < each.count; i++) {
          const lost = this._isResting ? each.lost : 0;
          this._poll(BEAT_MICROS, 1);
          clock.time += lost;
          this._nativeMicros += lost;
          this._beat();
        }
        return;
    }
  }

  private _poll(idle: number, turns: number): void {
    clock.time += idle;
    clock.idle += idle;
    clock.count += turns;
    this._turns += turns;
  }

  private get _isResting(): boolean {
    return this._memory.slots[Slot.Resting] !== Rest.Over;
  }

  private _beat(): void {
    this._settle();
    this.model.addCallback();
    manager.active = 0;
    this._recorder.enterCallback(this._beatTimer, undefined);
    this._recorder.beat();
    // What the worker does.
    if (this._memory.slots[Slot.Resting] === Rest.Begun) this._memory.slots[Slot.Resting] = Rest.Noticed;
    if (this._seesReturns) this._recorder.leaveCallback();
    this._lastRan = NOBODY;
  }

  private _callback(
    resource: object,
    {
      context,
      body,
      jobs,
    }: { readonly context: number; readonly body: readonly Step[]; readonly jobs: readonly Job[] },
    override: Frame['override'],
  ): void {
    this._settle();
    this.model.addCallback();
    const frame: Frame = { context, override, scopes: 0, isJob: false };
    manager.active = context;
    this._recorder.enterCallback(resource, this._contexts[context]);
    expect(this._isResting).toBe(false);
    this._run(body, frame);
    if (this._seesReturns) this._recorder.leaveCallback();
    this._lastRan = charged(frame);
    this._runOwnTicks(frame);
    for (const job of jobs) {
      if (job.do === 'tick') this._runOwnTicks(frame);
      this._job(job, frame);
    }
    this._runOwnTicks(frame);
  }

  /** Hooks announce those of the recorder like any other. */
  private _runOwnTicks(frame: Frame): void {
    for (let tick = ticks.queue.shift(); tick; tick = ticks.queue.shift()) {
      this._job({ do: 'tick', context: tick.context, body: [] }, frame, tick.run);
    }
  }

  /** `frame` is the last one's: ticks go on for who uses a handle, promise jobs have a context of their own. */
  private _job(job: Job, frame: Frame, run = (): void => this._run(job.body, frame)): void {
    manager.active = job.context;
    frame.context = job.context;
    frame.scopes = 0;
    frame.isJob = job.do === 'reaction';
    const context = this._contexts[job.context];
    if (job.do === 'tick') {
      // The maker's context was in use on its own account as well: nobody can tell whose tick it is.
      if (frame.override?.isMixed) frame.override = { ...frame.override, user: 0, isMixed: false };
      this._recorder.enterTick(context);
    } else {
      frame.override = undefined;
      if (this._seesReturns) this._recorder.enterPromiseJob();
      else this._recorder.enterReaction(context);
    }
    run();
    if (job.do === 'tick' && this._seesReturns) this._recorder.leaveCallback();
    this._lastRan = charged(frame);
  }

  private _run(body: readonly Step[], frame: Frame): void {
    for (const step of body) this._step(step, frame);
  }

  private _step(step: Step, frame: Frame): void {
    const recorder = this._recorder;
    switch (step.do) {
      case 'spend':
        clock.time += step.micros;
        this.model.charge(charged(frame), step.micros);
        break;
      case 'scope':
        this._scope(step, frame);
        break;
      case 'enter':
        manager.active = step.context;
        frame.context = step.context;
        frame.override = undefined;
        recorder.enterContext(this._contexts[step.context]);
        break;
      case 'nested': {
        // Nothing marks the end of a promise job that is nobody's: what is behind the callback looks like native code.
        if (frame.isJob && this._seesReturns && charged(frame) === NOBODY) break;
        const outer = manager.active;
        const { override, scopes } = recorder;
        manager.active = step.context;
        this.model.addCallback();
        recorder.enterCallback({}, this._contexts[step.context]);
        this._run(step.body, { context: step.context, override: undefined, scopes: 0, isJob: false });
        manager.active = outer;
        if (this._seesReturns) recorder.leaveCallback();
        else recorder.restore(override, scopes);
        break;
      }
      case 'allowed': {
        const aside = recorder.beginAllowed();
        this.model.allow(() => this._run(step.body, frame));
        recorder.endAllowed(aside);
        break;
      }
      case 'end': {
        const span = this._spans[step.span] as Span;
        this.ended.add(nameOf(span));
        recorder.endSpan(span);
        break;
      }
      case 'look':
        recorder.witness(this._contexts[manager.active], true);
        break;
    }
  }

  private _scope(step: Step & { do: 'scope' }, frame: Frame): void {
    const outer = frame.context;
    const context = this._contexts[step.context];
    // As Node.js does: then what is entered in it stays.
    if (context === this._contexts[outer] && this._recorder.override === undefined) {
      this._run(step.body, frame);
      return;
    }
    if (frame.override?.maker === step.context) frame.override.isMixed = true;
    manager.active = step.context;
    frame.context = step.context;
    frame.scopes++;
    this._recorder.enterScope(context);
    this._run(step.body, frame);
    manager.active = outer;
    frame.context = outer;
    frame.scopes--;
    this._recorder.leaveScope(this._contexts[outer]);
  }

  /** A callback begins: whose is the native time before it, and in which iteration? */
  private _settle(isExit = false): void {
    const native = this._nativeMicros;
    const turns = this._turns;
    this._nativeMicros = 0;
    this._turns = 0;
    if (this._isResting && native <= LOSABLE_AT_REST_MICROS) {
      this.model.forget();
      this._loopCount = clock.count;
    } else if (turns === 0 && !isExit) {
      this.model.charge(NOBODY, native);
    } else {
      // Behind what is nobody's it is more of the same.
      if (this._lastRan === NOBODY) this.model.charge(NOBODY, native);
      this.model.close(this._loopCount);
      this._loopCount = clock.count;
      if (this._lastRan !== NOBODY && turns === 1 && native > HEAD_MICROS) this.model.charge(NOBODY, native);
    }
  }
}

function sumOf(shares: Readonly<Record<string, number>>): number {
  return Object.values(shares).reduce((sum, share) => sum + share, 0);
}

/** Whose time it is. */
function charged({ context, override, scopes }: Frame): string {
  return contextName(override !== undefined && override.maker === context && scopes === 0 ? override.user : context);
}

function contextName(index: number): string {
  return index < 2 ? NOBODY : `span ${(index - 2) >> 1}`;
}

function contextsOf(spans: readonly Span[]): (Context | undefined)[] {
  const key = createContextKey('of no matter');
  const each = spans.flatMap((span) => {
    const own = trace.setSpan(ROOT_CONTEXT, span);
    return [own, own.setValue(key, true)];
  });
  return [undefined, ROOT_CONTEXT, ...each];
}

function nameOf(span: Span | undefined): string {
  return span === undefined ? NOBODY : (span as unknown as { name: string }).name;
}

/** A tally changes with the next iteration: what it says now. */
function told({ loopCount, busyMicros, shares: all, callbacks }: Iteration): Told {
  const shares: Record<string, number> = {};
  const behind: Record<string, number> = {};
  for (const { span, shareMicros, behindMicros } of all as readonly Tally[]) {
    const name = nameOf(span);
    shares[name] = (shares[name] ?? 0) + shareMicros;
    behind[name] = Math.min(behind[name] ?? Number.POSITIVE_INFINITY, behindMicros);
  }
  return { loopCount, busyMicros, shares, behind, callbacks };
}

it.each([
  ['is told when callbacks return', true],
  ['is not', false],
])('charges each span of a random program what it ran, iteration by iteration, where it %s', async (_how, sees) => {
  const property = fc.asyncProperty(program, async (turns) => {
    const world = new World(sees);
    await world.run(turns);
    expect(world.blocks).toEqual(world.model.blocks);
    expect(world.busy).toEqual(world.model.busy);
    for (const { busyMicros, shares } of world.blocks) expect(sumOf(shares)).toBe(busyMicros);
    expect(world.nobodyMicros).toBe(world.model.totals[NOBODY] ?? 0);
    for (const [name, micros] of Object.entries(world.model.totals)) {
      if (name === NOBODY || world.ended.has(name) || micros < 1_000) continue;
      expect(world.endings.get(name)?.totalMicros, name).toBe(micros);
    }
  });
  // The same programs each time, but where others are asked for: a red test is to say that something has changed.
  const { PROPERTY_RUNS = 500, PROPERTY_SEED = 1 } = process.env;
  const seed = PROPERTY_SEED === 'random' ? Date.now() : Number(PROPERTY_SEED);
  await fc.assert(property, { numRuns: Number(PROPERTY_RUNS), seed: seed | 0, examples: [[RARE]] });
});
