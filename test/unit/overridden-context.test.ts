// SPDX-License-Identifier: Apache-2.0
import { ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { expect, it } from 'vitest';
import { OverriddenContext } from '../../src/recorder/overridden-context.js';
import { Tally } from '../../src/recorder/span-time.js';

const maker = trace.setSpan(ROOT_CONTEXT, {} as Span);
const other = trace.setSpan(ROOT_CONTEXT, {} as Span);
const override = { context: maker, user: other, tally: new Tally({} as Span) };

it('charges the user in the context of the maker, but where the application has entered that itself', () => {
  const overridden = new OverriddenContext();
  expect(overridden.tallyIn(maker)).toBeUndefined();
  overridden.begin(override);
  expect([overridden.tallyIn(maker), overridden.tallyIn(other)]).toEqual([override.tally, undefined]);
  overridden.openScope(maker);
  expect(overridden.tallyIn(maker)).toBeUndefined();
  overridden.openScope(other);
  overridden.closeScope();
  expect(overridden.tallyIn(maker)).toBeUndefined();
  overridden.closeScope();
  expect(overridden.tallyIn(maker)).toBe(override.tally);
});

it('doubts ticks once the application has entered the context of the maker, until the handle calls back again', () => {
  const overridden = new OverriddenContext();
  overridden.begin(override);
  overridden.openScope(other);
  expect(overridden.beginTick()).toBe(false);
  overridden.openScope(maker);
  expect(overridden.beginTick()).toBe(true);
  expect(overridden.beginTick()).toBe(false);
  overridden.openScope(maker);
  overridden.begin(override);
  expect(overridden.beginTick()).toBe(false);
});
