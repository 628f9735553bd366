// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';
import { noteHeldUp } from './disturbance.js';

/**
 * Fixtures run as child processes: with the Node.js of TEST_NODE (default: this one), inside the application of TEST_APP
 * (default: this repository, which resolves its own name to what was built). The matrix sets both.
 */
const NODE = process.env.TEST_NODE ?? process.execPath;
const REPOSITORY = resolve(import.meta.dirname, '../..');
export const FIXTURES = process.env.TEST_APP
  ? join(process.env.TEST_APP, 'fixtures')
  : join(REPOSITORY, 'test/fixtures');

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

/** Runs a fixture to its end; never rejects, so that a test can look at how it ended. */
export function runFixture(file: string, options: RunOptions = {}): Promise<Run> {
  const startedAt = performance.now();
  return new Promise((done) => {
    const child = execFile(
      NODE,
      [...(options.nodeArgs ?? []), join(FIXTURES, file), ...(options.args ?? [])],
      {
        cwd: FIXTURES,
        timeout: options.timeoutMillis ?? 30_000,
        maxBuffer: 64 * 1024 * 1024,
        env: {
          ...process.env,
          NODE_OPTIONS: '',
          OTEL_TRACES_EXPORTER: 'none',
          OTEL_METRICS_EXPORTER: 'none',
          OTEL_LOGS_EXPORTER: 'none',
          OTEL_NODE_RESOURCE_DETECTORS: 'none',
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
  readonly traceId?: string;
  readonly spanId?: string;
}

export interface FixtureMetric {
  readonly scope: string;
  readonly unit: string;
  readonly points: { attributes: Record<string, unknown>; value: number | { sum: number; count: number } }[];
}

interface ScenarioOutput {
  readonly spans: FixtureSpan[];
  readonly logs: FixtureLog[];
  readonly metrics: Record<string, FixtureMetric>;
  readonly blocks: { label: string; asked: number; millis: number; startTime: number; endTime: number }[];
  readonly diagLines: string[];
  /** How long the process stood ready without a core, outside of its blocks, in ms. */
  readonly waitedOutsideBlocks: number;
  /** The same inside of them. */
  readonly waitedInBlocks: number;
  readonly [extra: string]: unknown;
}

/** What a scenario printed, with the questions that tests ask of it. Durations are milliseconds. */
export class ScenarioResult {
  constructor(readonly output: ScenarioOutput) {
    noteHeldUp(this.heldUpMillis);
  }

  get appSpans(): FixtureSpan[] {
    return this.output.spans.filter((span) => span.name !== 'event loop blocked');
  }

  get blockSpans(): FixtureSpan[] {
    return this._allBlockSpans.filter((span) => !this._isOfTheMachine(span));
  }

  /** Log events of {@link blockSpans}. */
  get blockLogs(): FixtureLog[] {
    const parents = this.blockSpans.map(({ parentSpanId }) => parentSpanId);
    return this.output.logs.filter(({ spanId }) => parents.includes(spanId));
  }

  /** Where nothing is to block: whatever the machine cannot have done. */
  get blocksOfOwnMaking(): FixtureSpan[] {
    return this._allBlockSpans.filter(({ startTime, endTime, attributes }) => {
      const pieces = this.output.blocks.filter((piece) => piece.startTime < endTime && piece.endTime > startTime);
      const overdrawn = pieces.reduce((sum, { asked, millis }) => sum + millis - asked, 0);
      return attributes['eventloop.block.cause'] !== 'host' && overdrawn < DISTURBED_MILLIS;
    });
  }

  /** How long the process stood ready without a core, in its pieces and between them. */
  get heldUpMillis(): number {
    const overdrawn = this.output.blocks.reduce(
      (sum, { asked, millis }) => sum + (asked === undefined ? 0 : millis - asked),
      0,
    );
    return this.output.waitedOutsideBlocks + overdrawn;
  }

  /** A machine that withheld its core for so long was what the run has measured. */
  get wasHeldUp(): boolean {
    return this.heldUpMillis >= MAX_HELD_UP_MILLIS;
  }

  get hasBlocksOfTheMachine(): boolean {
    return this._allBlockSpans.length > this.blocksOfOwnMaking.length;
  }

  private get _allBlockSpans(): FixtureSpan[] {
    return this.output.spans.filter((span) => span.name === 'event loop blocked');
  }

  /** Such a block is reported rightly, but is not what a scenario is about. */
  private _isOfTheMachine({ startTime, endTime, attributes }: FixtureSpan): boolean {
    const ranMeanwhile = this.output.blocks.some((piece) => piece.startTime < endTime && piece.endTime > startTime);
    return attributes['eventloop.block.cause'] === 'host' && this.output.blocks.length > 0 && !ranMeanwhile;
  }

  get blamedNames(): string[] {
    return this.appSpans.filter((span) => span.attributes['eventloop.blocked'] === true).map((span) => span.name);
  }

  span(name: string): FixtureSpan {
    const [span, ...more] = this.appSpans.filter((candidate) => candidate.name === name);
    if (!span || more.length > 0) throw new Error(`${span ? 'several spans' : 'no span'} named ${name}`);
    return span;
  }

  /** What the test's own clock says that the code under `label` took. */
  measured(label: string): number {
    return this.output.blocks.filter((b) => b.label === label).reduce((sum, b) => sum + b.millis, 0);
  }

  /** The same from the start of the first piece to the end of the last, for pieces that follow one another at once. */
  measuredThroughout(label?: string): number {
    const pieces = this.output.blocks.filter((b) => label === undefined || b.label === label);
    return Math.max(...pieces.map((b) => b.endTime)) - Math.min(...pieces.map((b) => b.startTime));
  }

  /** What a duration may be off by: max(2 ms, 2 %), and what the machine took away meanwhile. */
  tolerance(millis: number): number {
    return Math.max(2, millis * 0.02) + this.output.waitedOutsideBlocks;
  }
}

/** A piece that took so much longer than it was to was held up by the machine. */
const DISTURBED_MILLIS = 20;

/**
 * What a slice holds beside the piece that measures itself: making and ending spans, answering a request; all of it runs
 * for the first time here, on a machine whose two cores others use as well.
 */
export const SURROUNDINGS_MILLIS = 15;

/** `actual` is what the test's own clock says, never less; more only by what surrounds the piece that it measured. */
export function expectDuration(
  result: ScenarioResult,
  actual: number,
  measured: number,
  surroundingsMillis = SURROUNDINGS_MILLIS,
): void {
  expect(actual).toBeGreaterThan(measured - result.tolerance(measured));
  expect(actual).toBeLessThan(measured + result.tolerance(measured) + surroundingsMillis);
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

/** See {@link ScenarioResult.wasHeldUp}. */
const MAX_HELD_UP_MILLIS = 25;

/** Runs one scenario of a fixture and expects it to end well, with nothing on stderr. */
export async function runScenario(file: string, name: string, options: RunOptions = {}): Promise<ScenarioResult> {
  const { code, signal, stdout, stderr, millis } = await runFixture(file, { ...options, args: [name] });
  const result = code === 0 ? new ScenarioResult(JSON.parse(stdout) as ScenarioOutput) : undefined;
  if (result === undefined || stderr !== '') {
    throw new Error(`scenario "${name}" ended with ${code ?? signal} after ${millis} ms\n${stderr}`);
  }
  return result;
}
