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
 */
export class SpanTap {
  private readonly _untaps: (() => void)[] = [];
  /** Classes that were met: few, and of the SDK's. */
  private readonly _prototypes = new Set<Span>();
  private _lastSeen: object | null = null;

  /** @param _onNewClass called with the first span of each class. */
  constructor(
    private readonly _recorder: SpanFollower,
    private readonly _onNewClass: (span: Span) => void,
  ) {}

  on(): void {
    for (const prototype of this._prototypes) this._tap(prototype);
    this._recorder.followSpans((span) => {
      const prototype = Object.getPrototypeOf(span) as Span | null;
      if (prototype === this._lastSeen) return;
      this._lastSeen = prototype;
      if (prototype === null || this._prototypes.has(prototype)) return;
      this._prototypes.add(prototype);
      this._onNewClass(span);
      this._tap(prototype);
    });
  }

  /** Unwraps them all. */
  off(): void {
    for (const untap of this._untaps) untap();
    this._untaps.length = 0;
    this._recorder.followSpans(undefined);
  }

  private _tap(prototype: Span): void {
    const recorder = this._recorder;
    const original = prototype.end;
    if (typeof original !== 'function') return;
    this._untaps.push(
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
  }
}
