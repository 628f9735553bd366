// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import { tapSpanEnd } from '../hooks/span-tap.js';
import type { RecorderListener } from '../recorder/recorder.js';
import type { StartUp } from '../recorder/start-up.js';
import type { Attribution } from './attribution.js';
import { Sampler } from './sampler.js';

/** Follows nothing but the ends of spans, and asks the watchdog. */
export class Sampling implements Attribution {
  readonly kind = 'sampled';
  private _sampler: Sampler | undefined;
  private _untap: (() => void) | undefined;

  /**
   * @param _onStarted the program is up.
   * @param _onNewSpanClass called with the first span of each class.
   */
  constructor(
    private readonly _thresholdMillis: number,
    private readonly _intervalMillis: number,
    private readonly _listener: RecorderListener,
    private readonly _onStarted: () => void,
    private readonly _onNewSpanClass: (span: Span) => void,
  ) {}

  start(startUp: StartUp | undefined): void {
    this._sampler = new Sampler(this._thresholdMillis, this._intervalMillis, this._listener, startUp !== undefined);
    this._untap = tapSpanEnd(this._sampler, this._onNewSpanClass);
  }

  stop(): void {
    this._untap?.();
  }

  followBeat(): void {}

  beat(lateMillis: number): void {
    this._sampler?.beat(lateMillis);
    if (this._sampler?.isStarting === false) this._onStarted();
  }

  paceMillis(usual: number): number {
    return usual;
  }

  look(askedAt: number): void {
    this._sampler?.look(askedAt);
  }

  runningMillis(): undefined {
    return undefined;
  }

  allow(): () => void {
    this._sampler?.flush();
    return () => this._sampler?.startOver();
  }

  flush(): void {
    this._sampler?.flush();
  }
}
