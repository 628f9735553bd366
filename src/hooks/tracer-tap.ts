// SPDX-License-Identifier: Apache-2.0
import type { Context, Span, SpanOptions, TracerProvider } from '@opentelemetry/api';
import { forgetEntries, noteStart } from '../otel/span-start.js';
import { readOff } from '../system/foreign.js';
import { patchMethod } from '../system/patch.js';
import { PACKAGE_NAME, PACKAGE_VERSION } from '../version.js';

interface TappableTracer {
  startSpan(name: string, options?: SpanOptions, context?: Context): Span;
}

/**
 * Sees spans as they are started: one that the sampler leaves out tells nothing of itself afterwards, and 99 of 100 are
 * left out. Wrapped once on the prototype of the SDK's tracers, which go through it for `startActiveSpan` as well.
 */
export class TracerTap {
  private readonly _tapped = new Set<object>();
  private readonly _untaps: (() => void)[] = [];

  /** Taps the tracers of `provider`, if they are not yet. Called with each beat: an SDK may be started at any time. */
  follow(provider: object | undefined): void {
    if (provider === undefined || this._tapped.has(provider)) return;
    this._tapped.add(provider);
    const prototype = readOff(provider as TracerProvider, prototypeOfTracers, null);
    // Of a tracer that is a plain object, or stands for another, there is nothing that all of them share.
    if (prototype === null || prototype === Object.prototype || this._tapped.has(prototype)) return;
    this._tapped.add(prototype);
    this._tap(prototype);
  }

  /** Unwraps them all. */
  off(): void {
    for (const untap of this._untaps) untap();
    this._untaps.length = 0;
    this._tapped.clear();
    forgetEntries();
  }

  private _tap(prototype: TappableTracer): void {
    const original = prototype.startSpan;
    if (typeof original !== 'function') return;
    let isOn = true;
    const untap = patchMethod(
      prototype,
      'startSpan',
      {
        startSpan(this: unknown, name: string, options?: SpanOptions, context?: Context): Span {
          // biome-ignore lint/complexity/noArguments: passes on whatever the SDK's own startSpan takes, without an array
          const span = Reflect.apply(original, this, arguments);
          if (isOn) noteStart(span, name, options, context);
          return span;
        },
      }.startSpan,
    );
    this._untaps.push(() => {
      isOn = false;
      untap();
    });
  }
}

function prototypeOfTracers(provider: TracerProvider): TappableTracer | null {
  return Object.getPrototypeOf(provider.getTracer(PACKAGE_NAME, PACKAGE_VERSION));
}
