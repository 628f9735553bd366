// SPDX-License-Identifier: Apache-2.0
import { type Attributes, type Context, createContextKey, type Span, SpanKind } from '@opentelemetry/api';
import type { RequestMetadata } from '../model.js';
import { ATTR_HTTP_ROUTE } from '../semconv.js';
import type { EntryOperation } from '../types.js';
import { attributesOf, endOf, kindOf, knownNameOf, parentOf } from './span-facts.js';
import { entriesOf, isEntryKind, startedWith } from './span-start.js';

/** The key of `setRPCMetadata()` in `@opentelemetry/core`; context keys of one name are one, whoever creates them. */
const RPC_METADATA = createContextKey('OpenTelemetry SDK Context Key RPC_METADATA');

/** Of the request that `context` is part of; undefined where no instrumentation of a server says. */
export function requestOf(context: Context): RequestMetadata | undefined {
  const found: unknown = context.getValue(RPC_METADATA);
  return typeof found === 'object' && found !== null ? found : undefined;
}

/** By the span that ran. Of blocks alone: a span that made none is in no WeakMap. */
const requests = new WeakMap<Span, RequestMetadata>();

/** `span` ran in a context of `request`. */
export function noteRequest(span: Span, request: RequestMetadata): void {
  requests.set(span, request);
}

/**
 * The operation that `span` belongs to: itself, or what its request or message has entered the process by. Undefined where
 * there is none, or which one is not certain. Does not throw.
 */
export function entryOf(span: Span | undefined, request = span && requests.get(span)): EntryOperation | undefined {
  try {
    const entry = span && entrySpanOf(span, request);
    return entry && describe(entry, span, request);
  } catch {
    // Spans of other SDKs need not be what the API says they are.
    return undefined;
  }
}

function entrySpanOf(span: Span, request: RequestMetadata | undefined): Span | undefined {
  if (isEntryKind(kindOf(span))) return span;
  const { traceId, spanId } = span.spanContext();
  const known = entriesOf(traceId);
  const parentId = parentIdOf(span);
  // One that did not run itself is known by its id alone.
  const parent =
    known.find((entry) => entry.spanContext().spanId === spanId) ??
    known.find((entry) => entry.spanContext().spanId === parentId);
  if (parent !== undefined) return parent;
  if (request?.span !== undefined) return innerSpanOf(request.span, known) ?? request.span;
  const underWay = known.filter((entry) => endOf(entry) === undefined);
  const candidates = underWay.length > 0 ? underWay : known;
  // Of several messages of one trace nothing tells which it is.
  return candidates.length === 1 ? candidates[0] : undefined;
}

/** The span that a framework has for the whole of a request, as Hono has one: that one knows the route. */
function innerSpanOf(outer: Span, known: readonly Span[]): Span | undefined {
  const { spanId } = outer.spanContext();
  return known.find((entry) => kindOf(entry) === SpanKind.SERVER && parentIdOf(entry) === spanId);
}

function parentIdOf(span: Span): string | undefined {
  return parentOf(span)?.spanId ?? startedWith(span)?.parentId;
}

function describe(entry: Span, span: Span, request: RequestMetadata | undefined): EntryOperation {
  const kind = kindOf(entry) === SpanKind.CONSUMER ? 'consumer' : 'server';
  const attributes = attributesOf(entry);
  // A message that is handled within a request has a name of its own.
  const isOfRequest = request !== undefined && (request.span === entry || kind === 'server');
  const route = firstText(
    isOfRequest && request.route,
    attributes[ATTR_HTTP_ROUTE],
    kind === 'server' && attributesOf(span)[ATTR_HTTP_ROUTE],
  );
  const name = nameWith(route, knownNameOf(entry) ?? '');
  const operation = operationAttributes(attributes);
  if (route !== undefined) operation[ATTR_HTTP_ROUTE] = route;
  return { span: entry, name, kind, route, attributes: operation };
}

/** `GET /report`, as far as that is known by now. */
export function requestName({ span, route }: RequestMetadata): string {
  return nameWith(firstText(route), (span && knownNameOf(span)) ?? '');
}

/** The SDK's name of a request is its method alone until the route is known, and stays so where it is not recorded. */
function nameWith(route: string | undefined, name: string): string {
  if (route === undefined) return name;
  return /^(?:HTTP )?[A-Z]+$|^$/.test(name) ? `${name} ${route}`.trim() : name;
}

function firstText(...values: unknown[]): string | undefined {
  return values.find((value): value is string => typeof value === 'string' && value !== '');
}

/** Of what a span was started with, what says which operation it is. No other leaves the process: headers, for one. */
export function operationAttributes(attributes: Attributes): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).filter(
      ([name, value]) =>
        /^(?:http\.request\.method|http\.route|url\.path|(?:messaging|rpc)\..+)$/.test(name) &&
        /^(?:string|number|boolean)$/.test(typeof value),
    ),
  );
}
