// SPDX-License-Identifier: Apache-2.0
import { type Context, ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { beforeEach, expect, it } from 'vitest';
import { Backlog } from '../../src/recorder/backlog.js';
import { IterationLedger } from '../../src/recorder/iteration-ledger.js';
import { SpanLookup } from '../../src/recorder/span-lookup.js';

let ledger: IterationLedger;
let spans: SpanLookup;
let seen: Span[];
beforeEach(() => {
  ledger = new IterationLedger();
  spans = new SpanLookup(ledger, new Backlog({ onRanBehind() {}, onCaughtUp() {} }));
  seen = [];
  spans.followSpans((span) => seen.push(span));
});

const contextOf = (span: object): Context => trace.setSpan(ROOT_CONTEXT, span as Span);
/** That many others come in between. */
function pass(amount: number): void {
  for (let i = 0; i < amount; i++) spans.tallyIn(contextOf({}), spans.nobody);
}

it('gives a span one tally, however many contexts and others it has', () => {
  const span = {} as Span;
  const tally = spans.tallyIn(contextOf(span), spans.nobody);
  for (let others = 0; others < 4; others++) {
    pass(others);
    expect(spans.tallyIn(contextOf(span), spans.nobody)).toBe(tally);
    expect(spans.tallyOf(span)).toBe(tally);
  }
  expect(seen.filter((each) => each === span)).toHaveLength(1);
});

it('knows none of a span that never ran, and none where there is no span', () => {
  expect(spans.tallyOf({} as Span)).toBeUndefined();
  expect(spans.tallyIn(ROOT_CONTEXT, spans.nobody)).toBe(spans.nobody);
  expect(seen).toEqual([]);
});

it('forgets a span that has ended, unless it may be part of a block or runs still', () => {
  const isRemembered = (millis: number, isRunning: boolean): boolean => {
    ledger.clear();
    const span = {} as Span;
    const tally = spans.tallyIn(contextOf(span), spans.nobody);
    tally.hasEnded = true;
    ledger.add(tally, millis, 0);
    for (let i = 0; i < 3; i++) spans.tallyIn(contextOf({}), isRunning ? tally : spans.nobody);
    return spans.tallyOf(span) === tally;
  };
  expect(isRemembered(0.999, false)).toBe(false);
  expect(isRemembered(1, false)).toBe(true);
  expect(isRemembered(0.999, true)).toBe(true);
});

it('charges nobody where a context cannot be read, and asks again', () => {
  let isBroken = true;
  const span = {} as Span;
  const context = contextOf(span);
  const fragile = {
    getValue(key: symbol) {
      if (isBroken) throw new Error('no room on the stack');
      return context.getValue(key);
    },
  } as Context;
  expect(spans.tallyIn(fragile, spans.nobody)).toBe(spans.nobody);
  expect(spans.isBusy).toBe(false);
  isBroken = false;
  expect(spans.tallyIn(fragile, spans.nobody).span).toBe(span);
});

it('says so while it looks up', () => {
  const whileAsked: boolean[] = [];
  spans.followSpans(() => whileAsked.push(spans.isBusy));
  pass(2);
  expect(whileAsked).toEqual([true, true]);
  expect(spans.isBusy).toBe(false);
});
