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

it.each([
  ['build report', 'GET /report'],
  ['Grüße', 'GET /東京'],
])('tells of the request that a span belongs to as well (%s, %s)', (name, entry) => {
  const memory = new SharedMemory();
  memory.fields[Field.Running] = memory.publish(TRACE_ID, SPAN_ID, name, entry);
  const other = new SharedMemory(memory.buffer);
  expect(other.runningSpan()).toEqual({ traceId: TRACE_ID, spanId: SPAN_ID, name, entry });
  // What was in its place before is not read with it.
  for (let i = 0; i < 1023; i++) memory.publish(TRACE_ID, SPAN_ID, 'other', 'other');
  memory.fields[Field.Running] = memory.publish(TRACE_ID, SPAN_ID, 'x');
  expect(other.runningSpan()).toEqual({ traceId: TRACE_ID, spanId: SPAN_ID, name: 'x' });
});

it('tells when the span started, where that is known', () => {
  const memory = new SharedMemory();
  const other = new SharedMemory(memory.buffer);
  memory.fields[Field.Running] = memory.publish(TRACE_ID, SPAN_ID, 'x', 'GET /', 1_795_690_002_753.25);
  expect(other.runningSpan()).toMatchObject({ entry: 'GET /', startTimeMillis: 1_795_690_002_753.25 });
  for (let i = 0; i < 1024; i++) memory.fields[Field.Running] = memory.publish(TRACE_ID, SPAN_ID, 'x');
  expect(other.runningSpan()).toEqual({ traceId: TRACE_ID, spanId: SPAN_ID, name: 'x' });
});

it('has room for the name first, and then for that of the request', () => {
  const memory = new SharedMemory();
  memory.fields[Field.Running] = memory.publish(TRACE_ID, SPAN_ID, 'x'.repeat(300), 'GET /');
  expect(memory.runningSpan()).toEqual({ traceId: TRACE_ID, spanId: SPAN_ID, name: 'x'.repeat(200) });
  for (const letter of ['y', '東']) {
    memory.fields[Field.Running] = memory.publish(TRACE_ID, SPAN_ID, 'x'.repeat(190), letter.repeat(100));
    const { name, entry = '' } = memory.runningSpan() as { name: string; entry?: string };
    expect(name).toBe('x'.repeat(190));
    expect(letter.repeat(100).startsWith(entry)).toBe(true);
    expect(Buffer.byteLength(entry)).toBeGreaterThan(7);
  }
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
