// SPDX-License-Identifier: Apache-2.0
import { ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { expect, it } from 'vitest';
import { CallDepth } from '../../src/recorder/call-depth.js';
import { OverriddenContext } from '../../src/recorder/overridden-context.js';
import { Tally } from '../../src/recorder/span-time.js';

const contextOf = () => trace.setSpan(ROOT_CONTEXT, {} as Span);

it('goes back to what each nested callback has interrupted, and at last to nothing', () => {
  const calls = new CallDepth();
  const overridden = new OverriddenContext();
  const [outer, middle] = [contextOf(), contextOf()];
  const override = { context: outer, user: undefined, tally: new Tally(undefined) };
  calls.enter(undefined, overridden);
  overridden.begin(override);
  overridden.openScope(middle);
  calls.enter(outer, overridden);
  overridden.set(undefined, 0);
  calls.enter(middle, overridden);
  expect(calls.leave()).toBe(true);
  expect([calls.context, calls.override, calls.scopes]).toEqual([middle, undefined, 0]);
  expect(calls.leave()).toBe(true);
  expect([calls.context, calls.override, calls.scopes]).toEqual([outer, override, 1]);
  expect(calls.leave()).toBe(false);
});

it('goes back to a promise job that a callback has interrupted, once', () => {
  const calls = new CallDepth();
  const overridden = new OverriddenContext();
  const job = contextOf();
  calls.interruptJob(job, overridden);
  calls.enter(job, overridden);
  expect(calls.leave()).toBe(true);
  expect([calls.context, calls.depth]).toEqual([job, 0]);
  calls.enter(job, overridden);
  expect(calls.leave()).toBe(false);
});

it('stays at 0 where a return comes that belongs to nothing', () => {
  const calls = new CallDepth();
  expect([calls.leave(), calls.leave(), calls.depth]).toEqual([false, false, 0]);
});
