// SPDX-License-Identifier: Apache-2.0

/** `node --import opentelemetry-instrumentation-event-loop/debug/node-test --test`: a test that blocks the event loop fails. */
import { afterEach, beforeEach } from 'node:test';
import { beginTest, endTest } from './realm.js';

export { allowUpTo, configureGuard } from './realm.js';

/** Where node:test names them. */
interface Context {
  readonly name?: string;
  readonly fullName?: string;
}

const underWay = new Map<unknown, ReturnType<typeof beginTest>>();

/** `node --test` starts a process for each file and runs no test itself, unless it is told not to. */
function runsTests(): boolean {
  const { execArgv, env } = process;
  if (env.NODE_TEST_CONTEXT !== undefined) return true;
  return !execArgv.includes('--test') || execArgv.some((arg) => /^--(?:experimental-)?test-isolation=none$/.test(arg));
}

if (runsTests()) {
  beforeEach((context: Context) => {
    underWay.set(context, beginTest(context?.fullName ?? context?.name ?? '', context));
  });
  afterEach((context: Context) => {
    const test = underWay.get(context);
    underWay.delete(context);
    return test && endTest(test);
  });
}
