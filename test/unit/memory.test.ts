// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { Field, SharedMemory } from '../../src/system/shared-memory.js';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const SPAN_ID = 'b7ad6b7169203331';

/** What another thread reads of a span that runs. */
function published(traceId: string, spanId: string, name: string) {
  const memory = new SharedMemory();
  memory.fields[Field.Running] = memory.publish(traceId, spanId, name);
  return new SharedMemory(memory.buffer).runningSpan();
}

it.each(['GET /users/:id', '', 'Grüße an 東京 🚀', 'x'.repeat(200)])(
  'tells the other thread of the span %j',
  (name) => {
    expect(published(TRACE_ID, SPAN_ID, name)).toEqual({ traceId: TRACE_ID, spanId: SPAN_ID, name });
  },
);

it.each([['ascii '], ['東京']])('cuts the name off where its room ends, between letters (%s)', (word) => {
  const name = word.repeat(100);
  const { name: short } = published(TRACE_ID, SPAN_ID, name) as { name: string };
  expect(name.startsWith(short)).toBe(true);
  expect(Buffer.byteLength(short)).toBeGreaterThan(190);
});

it('keeps nothing of ids that are none', () => {
  expect(published('12345', '678', 'a span of another SDK')).toBeUndefined();
});

it('forgets a span when a thousand others have come', () => {
  const memory = new SharedMemory();
  const ticket = memory.publish(TRACE_ID, SPAN_ID, 'first');
  for (let i = 0; i < 1023; i++) memory.publish(TRACE_ID, SPAN_ID, `${i}`);
  expect(memory.holds(ticket)).toBe(true);
  memory.publish(TRACE_ID, SPAN_ID, 'last');
  expect(memory.holds(ticket)).toBe(false);
  memory.fields[Field.Running] = ticket;
  expect(memory.runningSpan()).toBeUndefined();
});
