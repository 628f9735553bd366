// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { expect, it } from 'vitest';
import { PublishedSpans } from '../../src/recorder/published-spans.js';
import { Tally } from '../../src/recorder/span-time.js';
import { SharedMemory } from '../../src/system/shared-memory.js';

const IDS = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };

it('says which span runs, asks each for its ids once, and again once a thousand others have come', () => {
  const memory = new SharedMemory();
  const published = new PublishedSpans(memory);
  let asked = 0;
  const spanContext = (): object => {
    asked++;
    return IDS;
  };
  const tally = new Tally({ name: 'GET /', spanContext } as unknown as Span);
  for (let i = 0; i < 3; i++) {
    published.publish(tally);
    expect(memory.runningSpan()).toEqual({ ...IDS, name: 'GET /' });
    published.publish(new Tally(undefined));
    expect(memory.runningSpan()).toBeUndefined();
  }
  expect(asked).toBe(1);
  for (let i = 0; i < 1024; i++) published.publish(new Tally({ name: 'other', spanContext: () => IDS } as never));
  published.publish(tally);
  expect([asked, memory.runningSpan()?.name]).toEqual([2, 'GET /']);
  published.clear();
  expect(memory.runningSpan()).toBeUndefined();
});

it('says nothing of a span that is not what the API says', () => {
  const memory = new SharedMemory();
  const published = new PublishedSpans(memory);
  for (const span of [{}, { spanContext: () => undefined }, { spanContext: () => ({ traceId: '1', spanId: '2' }) }]) {
    published.publish(new Tally(span as unknown as Span));
    expect(memory.runningSpan()).toBeUndefined();
  }
});
