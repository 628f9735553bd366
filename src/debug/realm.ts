// SPDX-License-Identifier: Apache-2.0

/** What the doors of the runners have in common. Loaded for each file of tests, in whatever realm: knows no other module. */
import type { createRequire } from 'node:module';
import { runInThisContext } from 'node:vm';
import { GUARD_KEY } from './guard-key.js';
import type { GuardedTest, TestGuard, TestGuardOptions, Verdict } from './test-guard.js';

type Globals = Record<symbol, TestGuard | undefined> & { readonly process: typeof process };

/** The global of the thread's main realm: `node:vm` is of that realm, whatever vm context asks it. */
const main = runInThisContext('globalThis') as Globals;

/** The guard of this thread. */
function testGuard(): TestGuard {
  if (main[GUARD_KEY] === undefined) {
    // What there is of `require` in a vm context is the runner's (jest, vitest's vmThreads).
    const loader = main.process.getBuiltinModule('node:module') as { readonly createRequire: typeof createRequire };
    // From a chunk that several doors share, and which hence is beside their folder.
    loader.createRequire(import.meta.url)('./debug/core.cjs');
  }
  return main[GUARD_KEY] as TestGuard;
}
// At once: the first test is not to wait for it.
testGuard();

/**
 * @param name of whose parts it is part of as well, `suite > test`, where tests contain others.
 * @param key an object that is the same wherever somebody tells of this test; mostly there is no need for one.
 */
export function beginTest(name?: string, key?: object): GuardedTest {
  return testGuard().begin(name, key);
}

/** Undefined, and at once, where nothing is wrong; else a promise of what the test is to fail with, which rejects. */
export function endTest(test: GuardedTest): Promise<never> | undefined {
  return testGuard()
    .end(test, Error.prepareStackTrace as never)
    ?.then((verdict) => {
      throw toError(verdict);
    });
}

/**
 * Runs a test function.
 *
 * @param fn what it returns or throws is returned and thrown; and where it does neither fail nor reject but blocks for too
 * long, a promise is returned that rejects.
 */
export function runGuarded<T>(fn: () => T): T {
  const guard = testGuard();
  const test = guard.begin();
  let result: T;
  try {
    result = guard.run(test, fn);
  } catch (error) {
    guard.drop(test);
    throw error;
  }
  if (!isThenable(result)) return (endTest(test) as T | undefined) ?? result;
  return result.then(
    async (value) => {
      await endTest(test);
      return value;
    },
    (error: unknown) => {
      guard.drop(test);
      throw error;
    },
  ) as T;
}

/** The same for one that is through only when it calls back: `fn` gets the function to call. */
export function runGuardedCallback(fn: (done: (...result: unknown[]) => void) => unknown, done: Done): unknown {
  const guard = testGuard();
  const test = guard.begin();
  let isOver = false;
  const over = (...result: unknown[]): void => {
    const [error] = result;
    if (isOver || error) {
      if (!isOver) guard.drop(test);
      isOver = true;
      done(...result);
      return;
    }
    isOver = true;
    const failure = endTest(test);
    if (failure === undefined) done(...result);
    else failure.catch(done);
  };
  try {
    return guard.run(test, () => fn(over));
  } catch (error) {
    if (!isOver) guard.drop(test);
    throw error;
  }
}

type Done = (...result: unknown[]) => void;

/**
 * Options of the guard, for all tests of this thread from now on; they win over the environment.
 *
 * @throws TypeError for what none may be.
 */
export function configureGuard(options: TestGuardOptions): void {
  testGuard().configure(options);
}

/**
 * The test that calls this may block the loop for so long, in one go; `Infinity`: for as long as it likes. Milliseconds.
 *
 * @throws TypeError for what is no number from 1 on.
 */
export function allowUpTo(millis: number): void {
  testGuard().allow(millis);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | undefined | null)?.then === 'function';
}

function toError({ message, stack }: Verdict): Error {
  const error = new Error(message);
  error.name = 'EventLoopBlocked';
  // Where it was blocked, which is what runners point at; where it was noticed nobody wants to know.
  error.stack = [`${error.name}: ${message}`, ...stack].join('\n');
  return error;
}
