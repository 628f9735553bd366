// SPDX-License-Identifier: Apache-2.0
import type { RunnerTask, RunnerTestCase } from 'vitest';
import { TestRunner } from 'vitest';
import { heldUpMillis } from './disturbance.js';

/** A machine that withheld its cores for so long, and for such a part of the time, has disturbed a test. */
const DISTURBED_MILLIS = 25;
const DISTURBED_PART = 0.04;
/** For such a part, it was all that the test has measured. */
const USELESS_PART = 0.15;
const MAX_RETRIES = 2;

interface Attempt {
  startedAt: number;
  heldUpBefore: number;
}

/**
 * Runs a test again that failed while the machine was busy with something else, and no other. A test that each time had
 * no cores to speak of is not judged: it is skipped, and says so. One with a `retry` of its own is left alone: it may
 * withhold cores from itself.
 */
export default class extends TestRunner {
  private readonly _attempts = new WeakMap<RunnerTask, Attempt>();
  /** Tests of which a failed attempt counts. */
  private readonly _judged = new WeakSet<RunnerTask>();

  override async onBeforeRunTask(test: RunnerTestCase): Promise<void> {
    await super.onBeforeRunTask(test);
    if (typeof test.retry === 'object') {
      this._judged.add(test);
      return;
    }
    test.retry = { count: MAX_RETRIES, condition: () => this._disturbedPart(test) > DISTURBED_PART };
  }

  override onBeforeTryTask(test: RunnerTestCase): void {
    super.onBeforeTryTask(test);
    this._attempts.set(test, { startedAt: performance.now(), heldUpBefore: heldUpMillis() });
  }

  onAfterRetryTask(test: RunnerTestCase): void {
    if (test.result?.state === 'fail' && this._disturbedPart(test) < USELESS_PART) this._judged.add(test);
  }

  override onAfterRunTask(test: RunnerTask): void {
    super.onAfterRunTask(test);
    const { result } = test;
    if (result?.state !== 'fail' || !this._attempts.has(test) || this._judged.has(test)) return;
    const note = `not judged: the machine withheld its cores for ${Math.round(this._disturbedPart(test) * 100)} % of the time`;
    console.log(`${note}: ${test.fullName}\n${result.errors?.at(-1)?.message}`);
    test.mode = 'skip';
    // As vitest does it where a test skips itself.
    test.result = { state: 'skip', note, pending: true, duration: result.duration ?? 0 } as typeof result;
  }

  /** For which part of the last attempt the machine withheld its cores; 0 where it was not for long. */
  private _disturbedPart(test: RunnerTask): number {
    const attempt = this._attempts.get(test);
    if (attempt === undefined) return 0;
    const heldUp = heldUpMillis() - attempt.heldUpBefore;
    return heldUp < DISTURBED_MILLIS ? 0 : heldUp / (performance.now() - attempt.startedAt);
  }
}
