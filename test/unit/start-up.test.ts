// SPDX-License-Identifier: Apache-2.0
import { executionAsyncResource } from 'node:async_hooks';
import { PerformanceObserver } from 'node:perf_hooks';
import { expect, it } from 'vitest';
import { StartUp } from '../../src/recorder/start-up.js';

it('is not over with the Immediate in which Node.js tells of garbage collections, but with one of the program', async () => {
  const startUp = new StartUp();
  // Asked inside of them: Node.js takes their callback off behind it.
  const seeThis = () => {
    startUp.see(executionAsyncResource());
    return [executionAsyncResource().constructor.name, startUp.isOver];
  };
  const observers = await new Promise((resolve) => {
    const observer = new PerformanceObserver(() => {
      observer.disconnect();
      resolve(seeThis());
    });
    observer.observe({ entryTypes: ['mark'] });
    performance.mark('told like a garbage collection');
  });
  expect(observers).toEqual(['Immediate', false]);
  const own = await new Promise((resolve) => setImmediate(() => resolve(seeThis())));
  expect(own).toEqual(['Immediate', true]);
});
