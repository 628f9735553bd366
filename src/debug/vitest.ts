// SPDX-License-Identifier: Apache-2.0

/** `setupFiles: ['opentelemetry-instrumentation-event-loop/debug/vitest']`: a test that blocks the event loop fails. */
import { afterEach, beforeEach } from 'vitest';
import { beginTest, endTest } from './realm.js';

export { allowUpTo, configureGuard } from './realm.js';

type Test = ReturnType<typeof beginTest>;
const underWay = new WeakMap<object, Test>();

beforeEach(({ task }) => {
  underWay.set(task, beginTest('', task));
});
afterEach(({ task }) => {
  const test = underWay.get(task);
  return test && endTest(test);
});
