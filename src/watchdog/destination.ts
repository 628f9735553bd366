// SPDX-License-Identifier: Apache-2.0
import { sdkIsDisabled } from '../config.js';
import { endpointOf, settingOf } from '../otel/otlp.js';
import type { Sdk } from '../otel/sdk.js';
import type { Signal } from './messages.js';

/** Where hang reports go beside stderr: wherever the application itself sends the signal over OTLP, if it does. */
export class Destination {
  private _isTracing = false;

  /** @param _url the one that is given for hang reports alone: then they go there, come what may. */
  constructor(
    private readonly _url: string | undefined,
    private readonly _environment: NodeJS.ProcessEnv,
    private readonly _sdk: Sdk,
  ) {}

  /** Spans are recorded, by an SDK that may be registered nowhere. */
  noteRecording(): void {
    this._isTracing = true;
  }

  /** What leaves the process. An SDK may be started at any time. */
  signals(): Signal[] {
    if (sdkIsDisabled(this._environment)) return [];
    if (this._url !== undefined) return ['traces', 'logs'];
    const signals: Signal[] = [];
    if ((this._isTracing || this._sdk.tracerProvider) && this._isOtlp('TRACES')) signals.push('traces');
    if (this._sdk.loggerProvider && this._isOtlp('LOGS')) signals.push('logs');
    return signals;
  }

  /** For people. No more of an address than they need: there may be a password in it. */
  describe(): string {
    const endpoints = this.signals().map((signal) => {
      const { protocol, host, pathname } = new URL(this._endpoint(signal));
      return `${protocol}//${host}${pathname} (${signal})`;
    });
    return ['stderr', ...endpoints].join(', ');
  }

  private _endpoint(signal: Signal): string {
    const isGrpc = settingOf(signal, 'PROTOCOL', this._environment)?.trim() === 'grpc';
    const environment = this._url === undefined ? this._environment : { OTEL_EXPORTER_OTLP_ENDPOINT: this._url };
    return endpointOf(signal, environment, isGrpc);
  }

  private _isOtlp(signal: 'TRACES' | 'LOGS'): boolean {
    const names = (this._environment[`OTEL_${signal}_EXPORTER`] ?? '').split(',').map((name) => name.trim());
    const given = names.filter((name) => name !== '');
    return given.length === 0 || (given.includes('otlp') && !given.includes('none'));
  }
}
