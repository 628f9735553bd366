// SPDX-License-Identifier: Apache-2.0
import type { Sdk } from '../hooks/sdk.js';
import type { Signal } from './messages.js';

/** Of the signals of a hang report, those that leave the process: whatever the application itself sends over OTLP. */
export class Destination {
  private _isTracing = false;

  /** @param _isGiven whether a place is given for hang reports alone: then both go there, come what may. */
  constructor(
    private readonly _isGiven: boolean,
    private readonly _environment: NodeJS.ProcessEnv,
    private readonly _sdk: Sdk,
  ) {}

  /** Spans are recorded, by an SDK that may be registered nowhere. */
  noteRecording(): void {
    this._isTracing = true;
  }

  /** An SDK may be started at any time. */
  signals(): Signal[] {
    if (this._isGiven) return ['traces', 'logs'];
    const signals: Signal[] = [];
    if ((this._isTracing || this._sdk.tracerProvider) && this._isOtlp('TRACES')) signals.push('traces');
    if (this._sdk.loggerProvider && this._isOtlp('LOGS')) signals.push('logs');
    return signals;
  }

  private _isOtlp(signal: 'TRACES' | 'LOGS'): boolean {
    const names = (this._environment[`OTEL_${signal}_EXPORTER`] ?? '').split(',').map((name) => name.trim());
    const given = names.filter((name) => name !== '');
    return given.length === 0 || (given.includes('otlp') && !given.includes('none'));
  }
}
