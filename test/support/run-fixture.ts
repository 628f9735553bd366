// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';

/**
 * Fixtures run as child processes: with the Node.js of TEST_NODE (default: this one), inside the application of TEST_APP
 * (default: this repository, which resolves its own name to what was built). The matrix sets both.
 */
const NODE = process.env.TEST_NODE ?? process.execPath;
const REPOSITORY = resolve(import.meta.dirname, '../..');
export const FIXTURES = process.env.TEST_APP
  ? join(process.env.TEST_APP, 'fixtures')
  : join(REPOSITORY, 'test/fixtures');

/** How spans are found in them, where they do not say so themselves. */
export const ATTRIBUTION = process.env.TEST_ATTRIBUTION ?? 'exact';

/** Major version of the Node.js that runs the fixtures. */
export const NODE_MAJOR = Number((process.env.TEST_NODE_VERSION ?? process.version).replace(/^v/, '').split('.')[0]);

/** Which line of OpenTelemetry the fixtures run against: 2 or 3. */
export const OTEL_LINE = Number(process.env.TEST_OTEL_LINE ?? 2);

export interface Run {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly millis: number;
}

export interface RunOptions {
  readonly args?: readonly string[];
  readonly nodeArgs?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMillis?: number;
  /** For fixtures that are talked to while they run. */
  readonly onSpawn?: (child: ChildProcess) => void;
}

export interface ScenarioOptions extends RunOptions {
  /** It takes its own core away, or what is asked of it holds without one as well: it need not be measured anew. */
  readonly isMeasuredOnce?: boolean;
}

/** Runs a fixture to its end; never rejects, so that a test can look at how it ended. */
export function runFixture(file: string, options: RunOptions = {}): Promise<Run> {
  const startedAt = performance.now();
  return new Promise((done) => {
    const child = execFile(
      NODE,
      [...(options.nodeArgs ?? []), join(FIXTURES, file), ...(options.args ?? [])],
      {
        cwd: FIXTURES,
        timeout: options.timeoutMillis ?? 60_000,
        maxBuffer: 64 * 1024 * 1024,
        env: {
          ...process.env,
          NODE_OPTIONS: '',
          OTEL_TRACES_EXPORTER: 'none',
          OTEL_METRICS_EXPORTER: 'none',
          OTEL_LOGS_EXPORTER: 'none',
          OTEL_NODE_RESOURCE_DETECTORS: 'none',
          OTEL_EVENT_LOOP_ATTRIBUTION: ATTRIBUTION,
          ...options.env,
        },
      },
      (_error, stdout, stderr) =>
        done({ code: child.exitCode, signal: child.signalCode, stdout, stderr, millis: performance.now() - startedAt }),
    );
    options.onSpawn?.(child);
  });
}

export interface FixtureSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly startTime: number;
  readonly endTime: number;
  readonly statusCode: number;
  readonly attributes: Record<string, unknown>;
  readonly links: string[];
}

export interface FixtureLog {
  readonly eventName: string;
  readonly severityNumber: number;
  readonly body: string;
  readonly attributes: Record<string, unknown>;
  /** Milliseconds since the Unix epoch. */
  readonly time: number;
  readonly traceId?: string;
  readonly spanId?: string;
}

export interface FixtureMetric {
  readonly scope: string;
  readonly unit: string;
  readonly points: { attributes: Record<string, unknown>; value: number | { sum: number; count: number } }[];
}

/** What a thread had got by a moment of its life, in ms; see `reading()` in fixtures/harness.cjs. */
interface Reading {
  readonly at: number;
  readonly idle: number;
  readonly cpu: number;
  readonly withheld: number;
  readonly helpers: number;
}

/** What became of a stretch of the fixture's time, by its own readings. */
interface Durations {
  /** How long its loop did not wait in poll. */
  readonly busy: number;
  /** How long its thread ran. */
  readonly cpu: number;
  /** How long its thread stood ready without a core. */
  readonly withheld: number;
  /** The same of all other threads of the process, together. */
  readonly helpers: number;
}
const DURATIONS = ['busy', 'cpu', 'withheld', 'helpers'] as const;

/** Times are ms since the Unix epoch. */
interface Stretch extends Durations {
  readonly startTime: number;
  readonly endTime: number;
}

/** What the fixture did on purpose, and measured. */
interface Piece {
  readonly label: string;
  /** How long it was to take; undefined where that was not said. */
  readonly asked?: number;
  readonly millis: number;
  readonly startTime: number;
  readonly endTime: number;
  readonly before: Reading;
  readonly after: Reading;
}

interface ScenarioOutput {
  readonly spans: FixtureSpan[];
  readonly logs: FixtureLog[];
  readonly metrics: Record<string, FixtureMetric>;
  readonly blocks: Piece[];
  readonly diagLines: string[];
  readonly readings: { readonly first: Reading; readonly last: Reading };
  /** How long the thread stood ready without a core, outside of its pieces, in ms. */
  readonly waitedOutsideBlocks: number;
  /** The same inside of them. */
  readonly waitedInBlocks: number;
  readonly [extra: string]: unknown;
}

/** Times on the wall clock come from readings of whole milliseconds, on both sides. */
const WALL_CLOCK_MILLIS = 3;
/** The kernel counts a thread's time when its clock ticks. */
const TICK_MILLIS = 4;
/** A look that takes longer to be asked and answered was held up, as far as the watchdog knows; a thread may wait so long for a core. */
const PROMPT_MILLIS = 2;
/**
 * The thread stood ready without a core for longer, and for a larger share of the time: the scenario is measured anew. One of
 * seconds has so much on a quiet machine.
 */
const DISTURBED_MILLIS = 20;
const DISTURBED_SHARE = 0.01;
/** `npm run test:noise` is there to see what a disturbed machine makes of the tests. */
const MOST_MEASUREMENTS = process.env.TEST_NOISE ? 1 : 3;

/**
 * What a scenario printed, with the questions that tests ask of it. Durations are milliseconds.
 *
 * **Blocks that the machine made.** A block is what the loop was busy for, without a core as well: where others want the
 * cores, a few milliseconds of work can take fifty, and that is reported rightly, but is not what a scenario is about.
 * Such blocks are left out of all answers here, by what the fixture read of its own thread, whatever ran meanwhile:
 *
 * 1. A block in which pieces ran that were to take the threshold or longer is what the scenario is about. It is always
 *    judged, and always counted.
 * 2. Any other is the package's fault, unless its thread ran for less than the threshold in it, and the kernel says that
 *    it withheld a core from the thread for all the rest; or, for as long as the block says that the collector was at
 *    work, from the threads that help the collector.
 * 3. A span that is blamed in a block of the first kind, without pieces of its own that were to take the threshold, is
 *    innocent: that is the package's fault, unless what ran beside the pieces of others, and its own, cannot have run for
 *    the threshold, and took as long as it is accused of. The time of a labelled piece never excuses another span.
 *
 * On a quiet machine nothing is left out.
 */
export class ScenarioResult {
  private readonly _between: readonly Stretch[];
  private readonly _allBlockSpans: readonly FixtureSpan[];

  constructor(readonly output: ScenarioOutput) {
    this._between = stretchesBetween(output);
    this._allBlockSpans = output.spans.filter(({ name }) => name === 'event loop blocked');
  }

  /** The application's, as if there had been no more blocks than {@link blockSpans}. */
  get appSpans(): FixtureSpan[] {
    const spans = this.output.spans.filter((span) => span.name !== 'event loop blocked');
    return spans.map((span) => this._withoutExcused(span));
  }

  get blockSpans(): FixtureSpan[] {
    return this._allBlockSpans.filter((span) => !this._isOfTheMachine(span));
  }

  /** Log events of {@link blockSpans}. */
  get blockLogs(): FixtureLog[] {
    const parents = this.blockSpans.map(({ parentSpanId }) => parentSpanId);
    return this.output.logs.filter(({ spanId }) => parents.includes(spanId));
  }

  /** Those that are left out: as many log events, and as many in the metrics, are not the scenario's either. */
  get blocksOfTheMachine(): FixtureSpan[] {
    return this._allBlockSpans.filter((span) => this._isOfTheMachine(span));
  }

  get blamedNames(): string[] {
    return this.appSpans.filter((span) => this.blockCount(span) > 0).map((span) => span.name);
  }

  /** How many blocks are written on `span`. */
  blockCount(span: FixtureSpan): number {
    return (span.attributes['eventloop.block.count'] as number | undefined) ?? 0;
  }

  span(name: string): FixtureSpan {
    const [span, ...more] = this.appSpans.filter((candidate) => candidate.name === name);
    if (!span || more.length > 0) throw new Error(`${span ? 'several spans' : 'no span'} named ${name}`);
    return span;
  }

  /** What the test's own clock says that the code under `label` took. */
  measured(label: string): number {
    return this._labelled(label).reduce((sum, piece) => sum + piece.millis, 0);
  }

  /** The same with what it took to read the clocks around each piece, which the thread's slices hold as well. */
  busyIn(label: string): number {
    return sumOf(this._labelled(label).map(stretchOf), 'busy');
  }

  /** {@link measured} from the start of the first piece to the end of the last, for pieces that follow one another at once. */
  measuredThroughout(label?: string): number {
    const pieces = label === undefined ? this.output.blocks : this._labelled(label);
    return Math.max(...pieces.map((b) => b.endTime)) - Math.min(...pieces.map((b) => b.startTime));
  }

  /** What a duration may be off by: max(2 ms, 2 %), and what the machine took away outside of all pieces. */
  tolerance(millis: number): number {
    return rounding(millis) + this.output.waitedOutsideBlocks;
  }

  /**
   * How long the loop can have been busy right before and after the pieces under `label`: that may be part of the same
   * slice, or of the same block.
   *
   * @param atMost so much of it may have been work, in ms; the rest the thread did not run.
   */
  busyBeside(label: string, atMost: number): number {
    const pieces = this._labelled(label);
    const isBeside = ({ startTime, endTime }: Stretch): boolean =>
      pieces.some((piece) => piece.startTime === endTime || piece.endTime === startTime);
    return busyIn(this._between.filter(isBeside), atMost);
  }

  /** The same right before and after the i-th piece; -1: before the first. */
  busyAround(i: number): number {
    return sumOf(this._between.slice(Math.max(i, 0), i + 2), 'busy');
  }

  /** How long the thread stood ready without a core there, in a poll that was over as well, which is no busy time. */
  withheldAround(i: number): number {
    return sumOf(this._between.slice(Math.max(i, 0), i + 2), 'withheld');
  }

  /** {@link busyBeside} of all stretches between pieces while `span` lived: it may have run in each of them. */
  busyDuring(span: FixtureSpan, atMost: number): number {
    return busyIn(
      this._between.filter((stretch) => overlapOf(stretch, span) > -WALL_CLOCK_MILLIS),
      atMost,
    );
  }

  /** How long the machine withheld its core from the thread, in the whole scenario. */
  get heldUpMillis(): number {
    return this.output.waitedOutsideBlocks + this.output.waitedInBlocks;
  }

  get isDisturbed(): boolean {
    const { first, last } = this.output.readings;
    return this.heldUpMillis > Math.max(DISTURBED_MILLIS, (last.at - first.at) * DISTURBED_SHARE);
  }

  /** How long the thread was on a core in the pieces under `label`. */
  ranIn(label: string): number {
    return sumOf(this._labelled(label).map(stretchOf), 'cpu');
  }

  /** How long the machine withheld its core from the thread in the pieces under `label`. */
  withheldIn(label: string): number {
    return sumOf(this._labelled(label).map(stretchOf), 'withheld');
  }

  /** The same of all other threads of the process together: the watchdog is one of them. */
  withheldFromHelpersIn(label: string): number {
    return sumOf(this._labelled(label).map(stretchOf), 'helpers');
  }

  /** Whether each look at the pieces under `label` was answered at once, as far as the machine let it be asked and answered. */
  areLooksPrompt(label: string): boolean {
    return this.withheldIn(label) < PROMPT_MILLIS && this.withheldFromHelpersIn(label) < PROMPT_MILLIS;
  }

  /**
   * {@link withheldIn} where that may have been between two callbacks or promise jobs, in native code, which is nobody's: a piece
   * that is one call of block() is never in between.
   */
  withheldBetweenJobs(label: string): number {
    const pieces = this._labelled(label).filter(({ asked }) => asked === undefined);
    return sumOf(pieces.map(stretchOf), 'withheld');
  }

  private _labelled(label: string): Piece[] {
    return this.output.blocks.filter((piece) => piece.label === label);
  }

  private _withoutExcused(span: FixtureSpan): FixtureSpan {
    const own = this._allBlockSpans.filter(
      (block) =>
        (block.parentSpanId === span.spanId || block.links.includes(span.spanId)) &&
        // Where it says so itself, the span had ended, and has nothing of it.
        block.attributes['eventloop.blocked'] !== true,
    );
    const excused = own.filter((block) => this._isOfTheMachine(block) || this._isExcused(span, block));
    if (excused.length === 0 || span.attributes['eventloop.blocked'] !== true) return span;
    const { 'eventloop.blocked': _, ...attributes } = span.attributes;
    // Parts of one block are written on the span once.
    const count = Math.max(
      (attributes['eventloop.block.count'] as number) - excused.length,
      own.length - excused.length,
    );
    const seconds = excused.reduce((sum, block) => sum + accusedOf(span, block) / 1000, 0);
    const duration = (attributes['eventloop.block.duration'] as number) - seconds;
    const counts = { 'eventloop.block.count': count, 'eventloop.block.duration': duration };
    return { ...span, attributes: { ...attributes, ...counts, ...(count > 0 && { 'eventloop.blocked': true }) } };
  }

  private _piecesIn(block: Times): Piece[] {
    // One that only touches it was in another iteration.
    return this.output.blocks.filter(
      (piece) => overlapOf(piece, block) > Math.min(WALL_CLOCK_MILLIS, piece.millis / 2),
    );
  }

  /** As far as it can go: its span covers no more of it than lies in the blamed span's life. */
  private _wholeOf(block: FixtureSpan): Times {
    const uncovered = Math.max(durationOf(block) - (block.endTime - block.startTime), 0);
    return { startTime: block.startTime - uncovered, endTime: block.endTime + uncovered };
  }

  /** What can have run in the block beside all pieces, and in `pieces`. */
  private _timesIn(block: FixtureSpan, pieces: readonly Piece[]): Durations {
    const sum = { busy: 0, cpu: 0, withheld: 0, helpers: 0 };
    const whole = this._wholeOf(block);
    for (const stretch of [...this._between, ...pieces.map(stretchOf)]) {
      const overlap = overlapOf(stretch, whole);
      if (overlap <= 0) continue;
      const most = overlap + 2 * WALL_CLOCK_MILLIS;
      for (const key of DURATIONS) sum[key] += Math.min(stretch[key], most);
    }
    return sum;
  }

  /** See 2 above. */
  private _isOfTheMachine(block: FixtureSpan): boolean {
    const threshold = millisOf(block, 'eventloop.block.threshold');
    const pieces = this._piecesIn(this._wholeOf(block));
    // A scenario that labels nothing has no other blocks to tell them from.
    if (askedOf(pieces) >= threshold || this.output.blocks.length === 0) return false;
    const { cpu, withheld, helpers } = this._timesIn(block, pieces);
    const cpuMillis = (block.attributes['eventloop.block.cpu_time'] as number | undefined) ?? Number.POSITIVE_INFINITY;
    const gcMillis = ((block.attributes['eventloop.block.gc_time'] as number | undefined) ?? 0) * 1000;
    const ran = Math.min(cpuMillis * 1000, cpu);
    return ran < threshold && durationOf(block) <= cpu + withheld + Math.min(gcMillis, helpers) + 2 * TICK_MILLIS;
  }

  /** See 3 above. */
  private _isExcused(span: FixtureSpan, block: FixtureSpan): boolean {
    const threshold = millisOf(block, 'eventloop.block.threshold');
    const own = this._piecesIn(this._wholeOf(block)).filter(({ label }) => label === span.name);
    if (block.attributes['eventloop.block.shared'] === true || askedOf(own) >= threshold) return false;
    const { cpu, busy } = this._timesIn(block, own);
    return cpu < threshold && accusedOf(span, block) <= busy + TICK_MILLIS;
  }
}

/** What `block` says that `span` had of it, in ms; more than any where it does not say. */
function accusedOf({ name }: FixtureSpan, block: FixtureSpan): number {
  const names = block.attributes['eventloop.block.span_names'] as string[];
  const durations = block.attributes['eventloop.block.span_durations'] as number[];
  return (durations[names.indexOf(name)] ?? Number.POSITIVE_INFINITY) * 1000;
}

/** What the fixture's thread did before its first piece, between its pieces, and after the last. */
function stretchesBetween({ blocks, readings }: ScenarioOutput): Stretch[] {
  const stretches: Stretch[] = [];
  let from = readings.first;
  let startTime = Number.NEGATIVE_INFINITY;
  for (const piece of [...blocks].sort((a, b) => a.startTime - b.startTime)) {
    stretches.push({ ...between(from, piece.before), startTime, endTime: piece.startTime });
    from = piece.after;
    startTime = piece.endTime;
  }
  stretches.push({ ...between(from, readings.last), startTime, endTime: Number.POSITIVE_INFINITY });
  return stretches;
}

function stretchOf({ before, after, startTime, endTime }: Piece): Stretch {
  return { ...between(before, after), startTime, endTime };
}

function between(from: Reading, to: Reading): Durations {
  return {
    busy: to.at - from.at - (to.idle - from.idle),
    cpu: to.cpu - from.cpu,
    withheld: to.withheld - from.withheld,
    helpers: to.helpers - from.helpers,
  };
}

type Times = { readonly startTime: number; readonly endTime: number };
function overlapOf(a: Times, b: Times): number {
  return Math.min(a.endTime, b.endTime) - Math.max(a.startTime, b.startTime);
}

function askedOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { asked, millis }) => sum + (asked ?? millis), 0);
}

function sumOf(stretches: readonly Stretch[], key: keyof Durations): number {
  return stretches.reduce((sum, stretch) => sum + stretch[key], 0);
}

/** To poll takes time on a core as well, which is no busy time. */
function busyIn(stretches: readonly Stretch[], atMost: number): number {
  const busy = sumOf(stretches, 'busy');
  const ran = sumOf(stretches, 'cpu');
  return Math.max(busy - ran, 0) + Math.min(ran, busy, atMost);
}

function rounding(millis: number): number {
  return Math.max(2, millis * 0.02);
}

/**
 * What a slice holds beside the piece that measures itself: making and ending spans, answering a request; all of it runs
 * for the first time here.
 */
export const SURROUNDINGS_MILLIS = 15;

/**
 * `actual` is what the test's own clock says, never less; more only by what the thread did right before and after what
 * was measured, by its own readings: as much as the loop was busy there, but no more work than `surroundingsMillis`.
 *
 * @param what the label of what was measured; or how long it took, where it has none, and then all that the machine took
 *   away in the scenario is allowed for.
 */
export function expectDuration(
  result: ScenarioResult,
  actual: number,
  what: string | number,
  surroundingsMillis = SURROUNDINGS_MILLIS,
): void {
  const measured = typeof what === 'number' ? what : result.measured(what);
  const allowance =
    typeof what === 'number'
      ? surroundingsMillis + result.output.waitedOutsideBlocks
      : result.busyBeside(what, surroundingsMillis);
  const between = typeof what === 'number' ? 0 : result.withheldBetweenJobs(what);
  expect(actual).toBeGreaterThan(measured - rounding(measured) - between);
  expect(actual).toBeLessThan(measured + rounding(measured) + allowance);
}

export function millisOf(span: FixtureSpan, attribute: string): number {
  const value = span.attributes[attribute];
  if (typeof value !== 'number') throw new Error(`${span.name} has no ${attribute}`);
  return value * 1000;
}

/** Of a block span the whole block's, as it says itself: it covers no more of that than lies in the blamed span's life. */
export function durationOf(span: FixtureSpan): number {
  return span.name === 'event loop blocked'
    ? millisOf(span, 'eventloop.block.duration')
    : span.endTime - span.startTime;
}

/**
 * Runs one scenario of a fixture and expects it to end well, with nothing on stderr.
 *
 * Where the machine took the core away meanwhile it is measured anew, before anything of it is judged, and at most so often:
 * what is to be judged is what the package says of the scenario, not of what else ran.
 */
export async function runScenario(file: string, name: string, options: ScenarioOptions = {}): Promise<ScenarioResult> {
  for (let left = options.isMeasuredOnce ? 1 : MOST_MEASUREMENTS; ; left--) {
    const result = await measureScenario(file, name, options);
    if (left <= 1 || !result.isDisturbed) return result;
  }
}

async function measureScenario(file: string, name: string, options: RunOptions): Promise<ScenarioResult> {
  // A machine that gives it no core makes it hang, and that is said on stderr; what is about that runs it otherwise.
  const env = { OTEL_EVENT_LOOP_HANG_THRESHOLD_MILLIS: '30000', ...options.env };
  const { code, signal, stdout, stderr, millis } = await runFixture(file, { ...options, env, args: [name] });
  const result = code === 0 ? new ScenarioResult(JSON.parse(stdout) as ScenarioOutput) : undefined;
  if (result === undefined || stderr !== '') {
    throw new Error(`scenario "${name}" ended with ${code ?? signal} after ${millis} ms\n${stderr}`);
  }
  return result;
}
