// SPDX-License-Identifier: Apache-2.0
import { type Attributes, type Context, type Span, SpanKind, type SpanOptions, trace } from '@opentelemetry/api';
import { Given } from './given.js';

/** What a span was started with: all that there ever is of one that the sampler has left out. */
export interface SpanStart {
  readonly name: string;
  readonly kind: SpanKind;
  /** The very object that was handed over, so that nothing is copied: read it, and only what is plain. */
  readonly attributes: Attributes | undefined;
  /** Of an entry span that was started below another one of this process, or of another. */
  readonly parentId: string | undefined;
}

/**
 * What a span was started with, under a private name on the span itself: no reflection can see it, and it is gone with the
 * span. A WeakMap would cost the garbage collector more than the span costs the SDK.
 */
class StartStamp extends Given {
  #start: SpanStart;

  private constructor(span: Span, start: SpanStart) {
    super(span);
    this.#start = start;
  }

  static get(span: Span): SpanStart | undefined {
    return #start in span ? (span as unknown as StartStamp).#start : undefined;
  }

  static put(span: Span, start: SpanStart): void {
    if (!(#start in span) && Object.isExtensible(span)) new StartStamp(span, start);
  }
}

/** So many entry spans are remembered, and as many requests may be under way at once: one that is forgotten has no name. */
const MAX_ENTRIES = 512;

/** The entry spans that were started last, in a ring: to remember one is a store, and nothing has to be taken out. */
const entries: (Span | undefined)[] = new Array(MAX_ENTRIES).fill(undefined);
let nextEntry = 0;

/**
 * A tracer has started `span`. Per span: of one that is recorded nothing is kept but, in a ring, those that requests and
 * messages enter the process by. Does not throw.
 */
export function noteStart(
  span: Span,
  name: string,
  options: SpanOptions | undefined,
  context: Context | undefined,
): void {
  try {
    const kind = options?.kind ?? SpanKind.INTERNAL;
    const isEntry = isEntryKind(kind);
    if (!span.isRecording()) {
      const parentId = isEntry && context ? trace.getSpan(context)?.spanContext().spanId : undefined;
      StartStamp.put(span, { name, kind, attributes: options?.attributes, parentId });
    }
    if (isEntry) {
      entries[nextEntry] = span;
      nextEntry = (nextEntry + 1) % MAX_ENTRIES;
    }
  } catch {
    // Spans and options of other SDKs need not be what the API says they are.
  }
}

/** What `span` was started with; undefined where it is recorded, and says so itself, or nobody has seen it. */
export function startedWith(span: Span): SpanStart | undefined {
  return StartStamp.get(span);
}

/** Keeps no span any longer. */
export function forgetEntries(): void {
  entries.fill(undefined);
}

/** Of the trace with this id, the last one first. */
export function entriesOf(traceId: string): Span[] {
  const found: Span[] = [];
  for (let i = 1; i <= MAX_ENTRIES; i++) {
    const span = entries[(nextEntry - i + MAX_ENTRIES) % MAX_ENTRIES];
    if (span?.spanContext().traceId === traceId) found.push(span);
  }
  return found;
}

/** Of spans that requests and messages enter a process by. */
export function isEntryKind(kind: unknown): boolean {
  return kind === SpanKind.SERVER || kind === SpanKind.CONSUMER;
}
