// SPDX-License-Identifier: Apache-2.0
// What a span was started with, where the sampler leaves it out.
import { ROOT_CONTEXT, type Span, SpanKind, trace } from '@opentelemetry/api';
import { NodeTracerProvider, ParentBasedSampler, TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace-node';
import { afterEach, expect, it } from 'vitest';
import { TracerTap } from '../../src/hooks/tracer-tap.js';
import { nameOf } from '../../src/otel/span-facts.js';
import { entriesOf, startedWith } from '../../src/otel/span-start.js';

const never = new NodeTracerProvider({ sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(0) }) });
const always = new NodeTracerProvider();
const tap = new TracerTap();
afterEach(() => tap.off());

it('keeps what an unsampled span was started with, however it was started', () => {
  const tracer = never.getTracer('before the tap');
  tap.follow(never);
  const attributes = { 'http.request.method': 'GET' };
  const span = tracer.startSpan('GET', { kind: SpanKind.SERVER, attributes });
  const keys = Reflect.ownKeys(span);
  expect(span.isRecording()).toBe(false);
  expect(startedWith(span)).toEqual({ name: 'GET', kind: SpanKind.SERVER, attributes, parentId: undefined });
  never.getTracer('behind it').startActiveSpan('inner', (inner) => {
    expect(startedWith(inner)).toMatchObject({ name: 'inner', kind: SpanKind.INTERNAL, attributes: undefined });
    expect(nameOf(inner)).toBe('inner');
  });
  // Nothing that anybody could see on it.
  expect(keys).toEqual(Reflect.ownKeys(never.getTracer('x').startSpan('x')));
});

it('keeps nothing of a span that is recorded', () => {
  tap.follow(always);
  const span = always.getTracer('x').startSpan('recorded');
  expect(startedWith(span)).toBeUndefined();
  expect(nameOf(span)).toBe('recorded');
});

it('knows the entry spans of a trace, recorded and not, and below whom they were started', () => {
  tap.follow(always);
  const tracer = always.getTracer('x');
  const [outer, inner] = [tracer.startSpan('outer', { kind: SpanKind.SERVER }), tracer.startSpan('internal')];
  const { traceId, spanId } = outer.spanContext();
  const message = tracer.startSpan('message', { kind: SpanKind.CONSUMER }, trace.setSpan(ROOT_CONTEXT, outer));
  expect(entriesOf(traceId)).toEqual([message, outer]);
  expect(entriesOf(inner.spanContext().traceId)).toEqual([]);
  const unsampled = never
    .getTracer('x')
    .startSpan(
      'server',
      { kind: SpanKind.SERVER },
      trace.setSpanContext(ROOT_CONTEXT, { ...outer.spanContext(), traceFlags: 0 }),
    );
  expect(startedWith(unsampled)?.parentId).toBe(spanId);
  // As many as there is room for, and none behind the tap.
  for (let i = 0; i < 511; i++) tracer.startSpan(`${i}`, { kind: SpanKind.SERVER });
  expect(entriesOf(traceId)).toEqual([unsampled]);
  tap.off();
  expect(entriesOf(traceId)).toEqual([]);
});

it('puts the method back, as it was', () => {
  const prototype = Object.getPrototypeOf(never.getTracer('x'));
  const original = Object.getOwnPropertyDescriptor(prototype, 'startSpan');
  for (let i = 0; i < 2; i++) {
    tap.follow(never);
    tap.follow(never);
    expect(prototype.startSpan).not.toBe(original?.value);
    expect([prototype.startSpan.name, prototype.startSpan.length]).toEqual(['startSpan', original?.value.length]);
    tap.off();
    expect(Object.getOwnPropertyDescriptor(prototype, 'startSpan')).toEqual(original);
  }
  expect(startedWith(never.getTracer('x').startSpan('off'))).toBeUndefined();
});

it('does no harm to SDKs that are otherwise, and changes nothing of what they give', () => {
  const frozen = Object.freeze({ isRecording: () => false });
  const given: unknown[] = [
    frozen,
    undefined,
    'a span',
    {},
    new Proxy(
      {},
      {
        get: () => {
          throw new Error('foreign');
        },
      },
    ),
  ];
  let next = 0;
  class Tracer {
    startSpan(..._args: unknown[]): unknown {
      return given[next++];
    }
  }
  const tracer = new Tracer();
  tap.follow({ getTracer: () => tracer });
  for (const expected of given) expect(tracer.startSpan('x', null) === expected).toBe(true);
  expect(startedWith(frozen as unknown as Span)).toBeUndefined();

  const ownStart = { startSpan: () => 'own' };
  const { startSpan } = ownStart;
  tap.follow({ getTracer: () => ownStart });
  expect(ownStart.startSpan).toBe(startSpan);
  expect(Object.prototype).not.toHaveProperty('startSpan');
  tap.follow({ getTracer: () => Object.create(null) });
  tap.follow({
    getTracer() {
      throw new Error('of another SDK');
    },
  });
  tap.follow({});
});

it('passes on what the SDK throws', () => {
  class Tracer {
    startSpan(): never {
      throw new RangeError('of the SDK');
    }
  }
  const tracer = new Tracer();
  tap.follow({ getTracer: () => tracer });
  expect(() => tracer.startSpan()).toThrow(new RangeError('of the SDK'));
});
