// SPDX-License-Identifier: Apache-2.0

/** The guard for every other runner: what wraps a test, or tells when one begins and ends. */
import { runGuarded } from './realm.js';

export { allowUpTo, beginTest, configureGuard, endTest } from './realm.js';
export type { GuardedTest, TestGuardOptions } from './test-guard.js';

// biome-ignore lint/suspicious/noExplicitAny: of whatever runner
type Test = (...args: any[]) => any;

/** What of a runner's function declares no test. */
const NO_TESTS = /^(?:before|after|beforeEach|afterEach|todo|skip|meta|macro|prototype|name|length)$/;

/** The test function `fn`, which fails where it blocks the event loop. */
export function guarded<T extends Test>(fn: T): T {
  return function (this: unknown, ...args: unknown[]) {
    return runGuarded(() => Reflect.apply(fn, this, args));
  } as T;
}

/**
 * The runner's own function, of which each test function is {@link guarded}: `export default guardTests(ava)`. Those of its
 * properties that declare tests as well (`test.serial`) do the same.
 */
export function guardTests<T extends Test>(test: T): T {
  return new Proxy(test, {
    apply: (target, self, args: unknown[]) => Reflect.apply(target, self, args.map(guardedArgument)),
    get(target, key, receiver) {
      const value: unknown = Reflect.get(target, key, receiver);
      const isTest = typeof value === 'function' && typeof key === 'string' && !NO_TESTS.test(key);
      return isTest ? guardTests(value as Test) : value;
    },
  });
}

function guardedArgument(argument: unknown): unknown {
  return typeof argument === 'function' ? guarded(argument as Test) : argument;
}
