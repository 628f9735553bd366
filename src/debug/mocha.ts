// SPDX-License-Identifier: Apache-2.0

/** `mocha --require opentelemetry-instrumentation-event-loop/debug/mocha`: a test that blocks the event loop fails. */
import { runGuarded, runGuardedCallback } from './realm.js';

export { allowUpTo, configureGuard } from './realm.js';

type TestFunction = (this: unknown, ...args: unknown[]) => unknown;

/** As much as we need of a test of mocha's. */
interface Runnable {
  fn?: TestFunction;
  /** Whether the function gets a callback. */
  readonly async?: boolean | number;
}

const guarded = new WeakSet<TestFunction>();

/**
 * Mocha stops where a hook fails, and runs no more tests of that suite: so not a hook but the test itself has to fail.
 */
export const mochaHooks = {
  beforeEach(this: { readonly currentTest?: Runnable }): void {
    const { currentTest } = this;
    const fn = currentTest?.fn;
    if (currentTest === undefined || typeof fn !== 'function' || guarded.has(fn)) return;
    // Whether there is a callback is asked of `length`, also where a test is tried again.
    const guard: TestFunction = currentTest.async
      ? function (this: unknown, done) {
          return runGuardedCallback((over) => Reflect.apply(fn, this, [over]), done as () => void);
        }
      : function (this: unknown) {
          return runGuarded(() => Reflect.apply(fn, this, []));
        };
    guarded.add(guard);
    currentTest.fn = guard;
  },
};
