// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { describe, expect, it } from 'vitest';
import { blame } from '../../src/block/blame.js';
import { Tally } from '../../src/recorder/span-time.js';

const TRACE_ID = 'a'.repeat(32);
const id = (n: number): string => n.toString(16).padStart(16, '0');

function fakeSpan(n: number, parent?: number): Span {
  const spanContext = { traceId: TRACE_ID, spanId: id(n), traceFlags: 1 };
  const parentSpanContext = parent === undefined ? undefined : { ...spanContext, spanId: id(parent) };
  return { name: `span ${n}`, spanContext: () => spanContext, parentSpanContext } as unknown as Span;
}

type Ran = readonly [span: number, millis: number, parent?: number];

/** `[span, own milliseconds, parent]`; span 0 stands for no span. */
function blameFor(...ran: Ran[]) {
  return blameWithHead(0, ...ran);
}

/** The same where so much of the first one's time is taken for its, and was seen by nobody. */
function blameWithHead(headMillis: number, ...ran: Ran[]) {
  const shares = ran.map(([n, millis, parent]) => {
    const tally = new Tally(n === 0 ? undefined : fakeSpan(n, parent));
    tally.shareMicros = millis * 1000;
    return tally;
  });
  const busyMicros = shares.reduce((sum, tally) => sum + tally.shareMicros, 0);
  const [first] = shares;
  const head = first && headMillis > 0 ? { head: { share: first, micros: headMillis * 1000 } } : {};
  const rest = { loopCount: 1, endedAt: 1_000, startMicros: 0, startTurn: 0, callbacks: 1, isExact: true };
  const block = blame({ ...rest, ...head, busyMicros, shares }, 50, 10_000);
  return { block, blamed: block.blamed.map((share) => share.span?.spanContext().spanId ?? 'nobody') };
}

describe('blame', () => {
  it('takes every span that reached the threshold alone, largest first', () => {
    const { block, blamed } = blameFor([1, 50], [2, 80], [3, 49.999], [0, 10]);
    expect(blamed).toEqual([id(2), id(1)]);
    expect(block.shared).toBe(false);
    expect(block.shares.map((share) => share.durationMillis)).toEqual([80, 50, 49.999, 10]);
  });

  it('leaves the block to nobody where nobody has the largest share', () => {
    expect(blameFor([0, 60], [1, 20])).toMatchObject({ blamed: ['nobody'], block: { shared: false } });
    expect(blameFor([0, 40], [1, 20])).toMatchObject({ blamed: ['nobody'], block: { shared: true } });
    expect(blameFor([0, 90], [1, 60])).toMatchObject({ blamed: ['nobody', id(1)], block: { shared: false } });
  });

  it('takes the largest share of spans that are no relatives', () => {
    expect(blameFor([1, 20], [2, 30], [3, 10])).toMatchObject({ blamed: [id(2)], block: { shared: true } });
  });

  it('takes the nearest common ancestor of many small ones', () => {
    const children = Array.from({ length: 5_000 }, (_, i): [number, number, number] => [i + 10, 0.06, 2]);
    expect(blameFor([1, 5], [2, 1, 1], ...children)).toMatchObject({ blamed: [id(2)], block: { shared: true } });
  });

  it('takes an ancestor that did not run itself', () => {
    const { blamed, block } = blameFor([2, 30, 1], [3, 30, 1]);
    expect(blamed).toEqual([id(1)]);
    expect(block.blamed[0]).toMatchObject({ name: '(not recording)', durationMillis: 0 });
  });

  it('does not go further up than it must', () => {
    expect(blameFor([1, 5], [2, 5, 1], [3, 30, 2], [4, 30, 2]).blamed).toEqual([id(2)]);
  });

  it('survives a circle of parents', () => {
    expect(blameFor([1, 30, 2], [2, 25, 1]).block.shared).toBe(true);
  });

  it('places the block on the wall clock', () => {
    const { block } = blameFor([1, 80]);
    expect(block).toMatchObject({ startTimeMillis: 10_920, endTimeMillis: 11_000, durationMillis: 80 });
  });
});

describe('a head that nobody has seen', () => {
  it('changes nothing where the verdict is the same without it', () => {
    const { block, blamed } = blameWithHead(14, [1, 70], [2, 20]);
    expect(blamed).toEqual([id(1)]);
    expect(block).toMatchObject({ shared: false, approximate: false });
  });

  it('is that of who ran behind it, where nobody else did for long', () => {
    const { block, blamed } = blameWithHead(14, [1, 60], [2, 6], [0, 0.5]);
    expect(blamed).toEqual([id(1)]);
    expect(block).toMatchObject({ shared: false, approximate: true });
  });

  it('singles out nobody of those who took turns behind it', () => {
    const { block, blamed } = blameWithHead(14, [1, 52], [2, 20], [3, 18]);
    expect(blamed).toEqual([id(1)]);
    expect(block).toMatchObject({ shared: true, approximate: true });
  });

  it('may have been that of who ran most beside', () => {
    const { block, blamed } = blameWithHead(14, [1, 40], [2, 25], [3, 10]);
    expect(blamed).toEqual([id(1)]);
    expect(block).toMatchObject({ shared: true, approximate: true });
    expect(blameWithHead(14, [1, 45], [2, 15], [3, 10]).block).toMatchObject({ shared: true, approximate: false });
  });

  it('is that of who ran behind it, where another has blocked alone', () => {
    const { block, blamed } = blameWithHead(14, [1, 60], [2, 70]);
    expect(blamed).toEqual([id(2), id(1)]);
    expect(block).toMatchObject({ shared: false, approximate: true });
  });
});
