// SPDX-License-Identifier: Apache-2.0
import { ProxyTracerProvider } from '@opentelemetry/api';
import { registered } from './registered.js';

export interface LoggerProvider {
  getLogger(name: string, version: string): unknown;
}

/** A resource as the SDKs have it, of either line. */
export interface SdkResource {
  readonly attributes?: Record<string, unknown>;
  readonly schemaUrl?: string;
  readonly asyncAttributesPending?: boolean;
  waitForAsyncAttributes?(): Promise<void>;
  /** Those to come are promises. */
  getRawAttributes?(): [string, unknown][];
}

/** Where `@opentelemetry/api-logs` keeps its provider: the logs of the API before 1.10. */
const LOGS_KEY = Symbol.for('io.opentelemetry.js.api.logs');
/** What it has to be asked for: the version of what is kept there, which has been the first ever since. */
const LOGS_VERSION = 1;
const globals = globalThis as unknown as Record<symbol, unknown>;

/**
 * What there is of an SDK: what was handed over, or else registered with whichever copy of the API. Stand-ins that wait
 * for an SDK, and those that do nothing, are none.
 */
export class Sdk {
  private _givenTracerProvider: unknown;
  private _givenLoggerProvider: unknown;

  /** An SDK, or the user, hands it over. */
  giveTracerProvider(provider: unknown): void {
    this._givenTracerProvider = provider;
  }

  giveLoggerProvider(provider: unknown): void {
    this._givenLoggerProvider = provider;
  }

  get tracerProvider(): object | undefined {
    return real(this._givenTracerProvider) ?? real(registered()?.trace);
  }

  /** With 2.x it is where the logs were before they became part of the API, whatever the API's own version. */
  get loggerProvider(): LoggerProvider | undefined {
    const before = globals[LOGS_KEY];
    return (real(this._givenLoggerProvider) ??
      real(registered()?.logs) ??
      real(typeof before === 'function' ? before(LOGS_VERSION) : undefined)) as LoggerProvider | undefined;
  }
}

/** The resource that a tracer provider gives its spans; undefined where it does not tell. */
export function resourceOf(tracerProvider: object): SdkResource | undefined {
  const { _resource, resource } = tracerProvider as Record<string, unknown>;
  const found = _resource ?? resource;
  return typeof found === 'object' && found !== null ? found : undefined;
}

/** One may stand in for another: each copy of the API has its own. */
const MAX_STAND_INS = 4;

interface Proxy {
  getDelegate?(): unknown;
  _getDelegate?(): unknown;
}

/** In a minified bundle it has no name; but there, its copy of the API is ours. */
const NOOP = new ProxyTracerProvider().getDelegate().constructor;

/** Whom `provider` stands for, itself included; undefined where that is nobody. */
function real(provider: unknown): object | undefined {
  let found = provider;
  for (let i = 0; i < MAX_STAND_INS; i++) {
    const proxy = found as Proxy | null | undefined;
    const delegate = proxy?.getDelegate?.() ?? proxy?._getDelegate?.();
    if (delegate === undefined) break;
    found = delegate;
  }
  if (typeof found !== 'object' || found === null) return undefined;
  return found.constructor === NOOP || /^Noop/.test(found.constructor?.name) ? undefined : found;
}
