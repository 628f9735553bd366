// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { describe, expect, it } from 'vitest';
import { Kinship } from '../../src/block/kinship.js';

const TRACE = 'a'.repeat(32);

/** Spans by name, each with its parent's; a parent that is not among them is another process's. */
function family(parents: Record<string, string | undefined>, traceId = TRACE): (name: string) => Span {
  const id = (name: string): string => Buffer.from(name).toString('hex').padStart(16, '0');
  const contextOf = (name: string) => ({ traceId, spanId: id(name), traceFlags: 1 });
  return (name) => {
    const parent = parents[name];
    return { spanContext: () => contextOf(name), parentSpanContext: parent && contextOf(parent) } as unknown as Span;
  };
}

function knowing(...spans: Span[]): Kinship {
  const kinship = new Kinship();
  for (const span of spans) kinship.add(span);
  return kinship;
}

describe('Kinship', () => {
  const span = family({
    stream: undefined,
    one: 'stream',
    two: 'stream',
    deep: 'one',
    deeper: 'deep',
    remote: 'caller',
    beside: 'caller',
  });

  it('tells siblings below one span, seen or not', () => {
    expect(knowing().areStrangers(span('one'), span('two'))).toBe(true);
    expect(knowing().areStrangers(span('remote'), span('beside'))).toBe(true);
  });

  it('leaves out ancestors and descendants, and the span itself', () => {
    const kinship = knowing(span('one'), span('deep'));
    for (const [a, b] of [
      ['one', 'one'],
      ['one', 'stream'],
      ['one', 'deep'],
      ['one', 'deeper'],
      ['stream', 'deeper'],
    ] as const) {
      expect([a, b, kinship.areStrangers(span(a), span(b))]).toEqual([a, b, false]);
      expect([b, a, kinship.areStrangers(span(b), span(a))]).toEqual([b, a, false]);
    }
  });

  it('follows a line as far as its spans were seen, and does not guess beyond', () => {
    expect(knowing(span('one'), span('deep')).areStrangers(span('deeper'), span('two'))).toBe(true);
    expect(knowing(span('deep')).areStrangers(span('deeper'), span('two'))).toBe(false);
    expect(knowing(span('one')).areStrangers(span('remote'), span('one'))).toBe(false);
  });

  it('forgets what it has seen', () => {
    const kinship = knowing(span('one'), span('deep'));
    kinship.clear();
    expect(kinship.areStrangers(span('deeper'), span('two'))).toBe(false);
  });

  it('knows that two traces have nothing in common', () => {
    expect(knowing().areStrangers(span('one'), family({}, 'b'.repeat(32))('one'))).toBe(true);
  });

  it('survives a circle of parents', () => {
    const circle = family({ x: 'y', y: 'x', z: 'w' });
    expect(knowing(circle('x'), circle('y')).areStrangers(circle('x'), circle('z'))).toBe(false);
  });
});
