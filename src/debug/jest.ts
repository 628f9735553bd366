// SPDX-License-Identifier: Apache-2.0

/** `setupFilesAfterEnv: ['opentelemetry-instrumentation-event-loop/debug/jest']`: a test that blocks the event loop fails. */
import { createRequire } from 'node:module';
import { beginTest, endTest } from './realm.js';

export { allowUpTo, configureGuard } from './realm.js';

interface Hooks {
  beforeEach(hook: () => unknown): void;
  afterEach(hook: () => unknown): void;
}

/** With `injectGlobals: false` they are no globals. */
const given = globalThis as unknown as Partial<Hooks>;
const hooks = (given.beforeEach ? given : createRequire(import.meta.url)('@jest/globals')) as Hooks;

let test: ReturnType<typeof beginTest> | undefined;

hooks.beforeEach(() => {
  test = beginTest();
});
hooks.afterEach(() => {
  const ended = test;
  test = undefined;
  return ended && endTest(ended);
});
