// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { patchMethod } from '../system/patch.js';

interface SpanFollower {
  /** Calls `onNewSpan` with each span that it sees for the first time; undefined: nobody any more. */
  followSpans(onNewSpan: ((span: Span) => void) | undefined): void;
  endSpan(span: Span): void;
}

/**
 * Tells the recorder when a span is about to end, because after `end()` nothing can be written on it any more and a
 * span often ends inside its own block. An instrumentation cannot add a span processor to NodeSDK, so `end` is wrapped
 * once on the prototype of each class of recording span, which works with any SDK.
 *
 * @param onNewClass called with the first span of each class.
 * @returns a function that unwraps them all.
 */
export function tapSpanEnd(recorder: SpanFollower, onNewClass: (span: Span) => void): () => void {
  const untaps: (() => void)[] = [];
  const tapped = new WeakSet<object>();
  let lastSeen: object | null = null;

  recorder.followSpans((span) => {
    const prototype = Object.getPrototypeOf(span) as Span | null;
    if (prototype === lastSeen) return;
    lastSeen = prototype;
    if (prototype === null || tapped.has(prototype)) return;
    tapped.add(prototype);
    onNewClass(span);
    const original = prototype.end;
    if (typeof original !== 'function') return;
    untaps.push(
      patchMethod(
        prototype,
        'end',
        {
          end(this: unknown) {
            if (typeof this === 'object' && this !== null) recorder.endSpan(this as Span);
            // biome-ignore lint/complexity/noArguments: passes on whatever the SDK's own end takes, without an array
            return Reflect.apply(original, this, arguments);
          },
        }.end,
      ),
    );
  });
  return () => {
    for (const untap of untaps) untap();
    recorder.followSpans(undefined);
  };
}
