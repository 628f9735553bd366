// SPDX-License-Identifier: Apache-2.0
// Which request or message a span belongs to, sampled or not.
import { type Context, createContextKey, ROOT_CONTEXT, type Span, SpanKind, trace } from '@opentelemetry/api';
import { RPCType, setRPCMetadata } from '@opentelemetry/core';
import { AlwaysOffSampler, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blame, renamed } from '../../src/block/blame.js';
import { TracerTap } from '../../src/hooks/tracer-tap.js';
import { entryOf, requestOf } from '../../src/otel/entry.js';
import { Tally } from '../../src/recorder/span-time.js';

const tap = new TracerTap();
afterEach(() => tap.off());

const KINDS = [
  ['sampled', undefined],
  ['unsampled', new AlwaysOffSampler()],
] as const;

describe.each(KINDS)('%s spans', (_title, sampler) => {
  const provider = new NodeTracerProvider(sampler && { sampler });
  const tracer = provider.getTracer('x');
  beforeEach(() => tap.follow(provider));

  const start = (name: string, kind: SpanKind, context: Context = ROOT_CONTEXT, attributes = {}): [Span, Context] => {
    const span = tracer.startSpan(name, { kind, attributes }, context);
    return [span, trace.setSpan(context, span)];
  };
  /** As instrumentation-http does; `route` comes later, from a framework. */
  function request(): { span: Span; context: Context; setRoute(route: string): void } {
    const attributes = { 'http.request.method': 'GET', 'url.path': '/users/42', 'user_agent.original': 'secret' };
    const [span, context] = start('GET', SpanKind.SERVER, ROOT_CONTEXT, attributes);
    const metadata: { type: RPCType.HTTP; span: Span; route?: string } = { type: RPCType.HTTP, span };
    return {
      span,
      context: setRPCMetadata(context, metadata),
      setRoute: (route) => {
        metadata.route = route;
      },
    };
  }

  it('belong to their request, however deep, and know its route as soon as somebody does', () => {
    const { span, context, setRoute } = request();
    const [, handler] = start('handler', SpanKind.INTERNAL, context);
    const [inner, deepest] = start('build report', SpanKind.INTERNAL, handler);
    expect(entryOf(inner, requestOf(deepest))).toMatchObject({ name: 'GET', kind: 'server', route: undefined });
    setRoute('/users/:id');
    expect(entryOf(inner, requestOf(deepest))).toEqual({
      span,
      name: 'GET /users/:id',
      kind: 'server',
      route: '/users/:id',
      attributes: { 'http.request.method': 'GET', 'url.path': '/users/42', 'http.route': '/users/:id' },
    });
    expect(entryOf(span, requestOf(context))).toMatchObject({ span, name: 'GET /users/:id' });
  });

  it('belong to their message, where that is the only one of its trace', () => {
    const attributes = { 'messaging.system': 'kafka', 'messaging.destination.name': 'reports' };
    const [message, context] = start('process reports', SpanKind.CONSUMER, ROOT_CONTEXT, attributes);
    const [, step] = start('step', SpanKind.INTERNAL, context);
    const [inner] = start('build report', SpanKind.INTERNAL, step);
    const expected = { span: message, name: 'process reports', kind: 'consumer', route: undefined, attributes };
    expect(entryOf(inner)).toEqual(expected);
    expect(entryOf(message)).toEqual(expected);
    start('process reports', SpanKind.CONSUMER, context);
    expect(entryOf(inner)).toBeUndefined();
  });

  it('belong to none where nothing has entered, or nobody has seen it', () => {
    const [job] = start('nightly export', SpanKind.INTERNAL);
    const [call] = start('GET', SpanKind.CLIENT);
    expect([entryOf(job), entryOf(call), entryOf(undefined)]).toEqual([undefined, undefined, undefined]);
    expect(entryOf({} as Span)).toBeUndefined();
  });

  it('belong to the span that a framework has for the request, and take the route from it', () => {
    const { context } = request();
    const [own, inside] = start('GET /users/:id', SpanKind.SERVER, context, { 'http.route': '/users/:id' });
    const [, step] = start('step', SpanKind.INTERNAL, inside);
    const [inner, deepest] = start('build report', SpanKind.INTERNAL, step);
    expect(entryOf(inner, requestOf(deepest))).toMatchObject({
      span: own,
      name: 'GET /users/:id',
      route: '/users/:id',
    });
  });

  it('do not take the route of a request for that of a message which is handled in it', () => {
    const { context, setRoute } = request();
    setRoute('/jobs');
    const [message, inside] = start('process reports', SpanKind.CONSUMER, context);
    expect(entryOf(message, requestOf(inside))).toMatchObject({ name: 'process reports', route: undefined });
  });

  it('do not belong to another request of their trace, when a service calls itself', () => {
    const { span, context } = request();
    const [, handler] = start('handler', SpanKind.INTERNAL, context);
    const [inner, deepest] = start('inner', SpanKind.INTERNAL, handler);
    const [call] = start('GET', SpanKind.CLIENT, handler);
    start('GET', SpanKind.SERVER, trace.setSpanContext(ROOT_CONTEXT, { ...call.spanContext(), isRemote: true }));
    expect(entryOf(inner, requestOf(deepest))?.span).toBe(span);
  });

  it('give a block its entry, and their names in it the route that is known by its end', () => {
    const { span, context, setRoute } = request();
    const [inner, deepest] = start('build report', SpanKind.INTERNAL, context);
    const tallies = [new Tally(inner, 0, requestOf(deepest)), new Tally(span, 0, requestOf(context))];
    for (const [i, tally] of tallies.entries()) tally.shareMicros = 80_000 - i * 60_000;
    const iteration = {
      loopCount: 1,
      endedAt: 1_000,
      busyMicros: 100_000,
      startMicros: 0,
      startTurn: 0,
      shares: tallies,
      callbacks: 1,
      isExact: true,
    };
    const block = blame(iteration, 50, 0);
    expect(block.entry).toMatchObject({ span, name: 'GET' });
    setRoute('/report');
    const later = renamed(block);
    expect(later.entry).toMatchObject({ span, name: 'GET /report', route: '/report' });
    expect(later.blamed.map(({ name }) => name)).toEqual(['build report']);
    expect(later.shares.map(({ name }) => name)).toEqual(['build report', 'GET /report']);
  });
});

it('reads contexts of other SDKs, whatever is in them', () => {
  const key = createContextKey('OpenTelemetry SDK Context Key RPC_METADATA');
  for (const odd of [null, 'text', 42]) expect(requestOf(ROOT_CONTEXT.setValue(key, odd))).toBeUndefined();
  expect(requestOf(ROOT_CONTEXT)).toBeUndefined();
});
