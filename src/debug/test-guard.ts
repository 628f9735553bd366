// SPDX-License-Identifier: Apache-2.0
import { AsyncLocalStorage } from 'node:async_hooks';
import { startTimer, stopTimer } from '../system/timers.js';
import type { CodeLocation, StackFrame } from '../types.js';
import { PACKAGE_NAME } from '../version.js';
import { countedMillis, describeFinding, type Finding } from './finding.js';
import { Findings } from './findings.js';
import { debugOptions } from './options.js';
import { mapByPreparing, type PrepareStackTrace } from './prepared-stack.js';
import { Stderr } from './stderr.js';

/** Options of the guard of tests. */
export interface TestGuardOptions {
  /**
   * A test in which the event loop is blocked for longer, in one go, fails. Milliseconds, 1 to 3,600,000.
   * Environment: `OTEL_EVENT_LOOP_DEBUG_FAIL_OVER_MILLIS`.
   * @default 100
   */
  failOverMillis?: number;
  /**
   * Whether the loading of modules counts. Environment: `OTEL_EVENT_LOOP_DEBUG_COUNT_LOADING`.
   * @default false
   */
  countLoading?: boolean;
}

const DEFAULT_FAIL_OVER_MILLIS = 100;
/** A block that is found has to be longer than that; shorter limits are seldom, and start the watch anew. Milliseconds. */
const USUAL_THRESHOLD_MILLIS = 50;
/** So long a test that fails waits for where its block stands in the sources. Milliseconds. */
const MAX_RESOLVE_MILLIS = 2_000;
/** Of the stack, as many go into the error. */
const MAX_FRAMES = 20;

/** What is to be thrown, in the words of whichever realm the test runs in. */
export interface Verdict {
  readonly message: string;
  /** As V8 prints them, each with its `at`. */
  readonly stack: readonly string[];
}

/** A test that is under way. */
export class GuardedTest {
  limitMillis: number | undefined;
  readonly findings: Finding[] = [];

  /** @param name of whose parts it is part of as well: `suite > test`; empty where it is not known. */
  constructor(
    readonly name: string,
    readonly key: object | undefined,
  ) {}
}

/**
 * Knows which tests are under way in this thread, and what blocked it meanwhile. One for each thread, in its main realm: the
 * vm contexts of jest and of vitest's vmThreads have globals of their own, where no look of the watchdog would find us.
 */
export class TestGuard {
  private _options: Required<TestGuardOptions>;
  private readonly _findings: Findings;
  private readonly _underWay = new Set<GuardedTest>();
  /** That whose code runs right now, and nobody else's. */
  private _alone: GuardedTest | undefined;
  private readonly _current = new AsyncLocalStorage<GuardedTest>();
  private readonly _stderr = new Stderr();

  constructor(environment: NodeJS.ProcessEnv) {
    const say = (message: string): void => this._stderr.write(`${PACKAGE_NAME}: ${message}\n`);
    const { failOverMillis = DEFAULT_FAIL_OVER_MILLIS, countLoading } = debugOptions(environment, say);
    this._options = { failOverMillis, countLoading };
    this._findings = Findings.get(Math.min(failOverMillis, USUAL_THRESHOLD_MILLIS), say);
    this._findings.guardTests(() => this._current.getStore());
    this._findings.listeners.add({ onFinding: (finding) => this._onFinding(finding) });
  }

  /** @throws TypeError for what none of them may be. */
  configure(options: TestGuardOptions): void {
    const { failOverMillis, countLoading } = { ...this._options, ...options };
    checkMillis(failOverMillis);
    if (typeof countLoading !== 'boolean') throw new TypeError('countLoading must be true or false');
    this._options = { failOverMillis, countLoading };
    this._findings.lowerThreshold(Math.min(failOverMillis, USUAL_THRESHOLD_MILLIS));
  }

  /**
   * A test begins: what ran until now is none of its business.
   *
   * @param key what the runner knows it by: more than one copy of a door may tell of it.
   */
  begin(name = '', key?: object): GuardedTest {
    const known = key && [...this._underWay].find((test) => test.key === key);
    if (known) return known;
    const test = new GuardedTest(name, key);
    this._findings.cut();
    this._underWay.add(test);
    return test;
  }

  /** The test is over, and has failed already. */
  drop(test: GuardedTest): void {
    this._findings.cut();
    this._underWay.delete(test);
  }

  /** The test that is under way may block for so long. Without one, nothing follows. */
  allow(limitMillis: number): void {
    checkMillis(limitMillis);
    const test = this._current.getStore() ?? [...this._underWay].at(-1);
    if (test !== undefined) test.limitMillis = limitMillis;
  }

  /**
   * The test is over.
   *
   * @param prepare how its realm maps stacks, if it does.
   * @returns why it fails; undefined, and at once, where it does not.
   */
  end(test: GuardedTest, prepare?: PrepareStackTrace): Promise<Verdict> | undefined {
    this._findings.cut();
    if (!this._underWay.delete(test)) return undefined;
    const { countLoading, failOverMillis } = this._options;
    const limit = test.limitMillis ?? failOverMillis;
    const counted = test.findings.map((finding) => ({ finding, millis: countedMillis(finding, countLoading) }));
    const [worst] = counted.filter(({ millis }) => millis > limit).sort((a, b) => b.millis - a.millis);
    return worst && this._judge(worst.finding, limit, prepare);
  }

  /**
   * Runs a test function: what blocks while it runs synchronously is its own and nobody else's, and so is of what comes later
   * what is seen to be.
   */
  run<T>(test: GuardedTest, fn: () => T): T {
    this._findings.cut();
    const outside = this._alone;
    this._alone = test;
    try {
      return this._current.run(test, fn);
    } finally {
      this._findings.cut();
      this._alone = outside;
    }
  }

  private _onFinding(finding: Finding): void {
    for (const test of this._whose(finding)) test.findings.push(finding);
  }

  private _whose({ test }: Finding): Iterable<GuardedTest> {
    if (this._alone !== undefined) return [this._alone];
    if (test instanceof GuardedTest && this._underWay.has(test)) return [test];
    const tests = [...this._underWay];
    // What a part of a test does is not done by the whole once more.
    return tests.filter(({ name }) => name === '' || !tests.some((other) => other.name.startsWith(`${name} > `)));
  }

  private async _judge(finding: Finding, limit: number, prepare: PrepareStackTrace | undefined): Promise<Verdict> {
    const { location } = finding.block;
    const mapped = location && (await this._locate(location, prepare));
    const block = { ...finding.block, location: mapped, hottest: undefined };
    const millis = countedMillis(finding, this._options.countLoading);
    const text = describeFinding({ ...finding, block }, millis);
    const stack = (mapped?.stack ?? []).slice(0, MAX_FRAMES).map(({ text }) => `    at ${text}`);
    return { message: `${text}; allowed are ${limit} ms`, stack };
  }

  private async _locate(location: CodeLocation, prepare: PrepareStackTrace | undefined): Promise<CodeLocation> {
    // Ours must not keep the process, but the test waits.
    const held = startTimer(() => {}, MAX_RESOLVE_MILLIS);
    try {
      const found: readonly StackFrame[] = await this._findings.resolve(location.stack);
      const stack = mapByPreparing(found, location.stack, prepare);
      return { ...location, stack, frame: stack[0] ?? location.frame };
    } finally {
      stopTimer(held);
    }
  }
}

function checkMillis(millis: unknown): void {
  if (typeof millis !== 'number' || !(millis >= 1))
    throw new TypeError('a limit must be a number of milliseconds, from 1');
}
