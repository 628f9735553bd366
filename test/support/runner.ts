// SPDX-License-Identifier: Apache-2.0
import type { RunnerTestCase } from 'vitest';
import { TestRunner } from 'vitest';
import { heldUpMillis } from './disturbance.js';

/** A machine that withheld its cores for so long, and for such a part of the time, was what the test has measured. */
const DISTURBED_MILLIS = 25;
const DISTURBED_PART = 0.04;
const MAX_RETRIES = 2;

/**
 * Repeats a test that failed while the machine was busy with something else, and no other. A test with a `retry` of its
 * own is left alone.
 */
export default class extends TestRunner {
  private readonly _attempts = new WeakMap<RunnerTestCase, { startedAt: number; heldUpBefore: number }>();

  override async onBeforeRunTask(test: RunnerTestCase): Promise<void> {
    await super.onBeforeRunTask(test);
    if (typeof test.retry === 'object') return;
    test.retry = { count: MAX_RETRIES, condition: () => this._wasDisturbed(test) };
  }

  override onBeforeTryTask(test: RunnerTestCase): void {
    super.onBeforeTryTask(test);
    this._attempts.set(test, { startedAt: performance.now(), heldUpBefore: heldUpMillis() });
  }

  private _wasDisturbed(test: RunnerTestCase): boolean {
    const attempt = this._attempts.get(test);
    if (attempt === undefined) return false;
    const heldUp = heldUpMillis() - attempt.heldUpBefore;
    const lasted = performance.now() - attempt.startedAt;
    return heldUp > Math.max(DISTURBED_MILLIS, lasted * DISTURBED_PART);
  }
}
