// SPDX-License-Identifier: Apache-2.0
import { metrics, ProxyTracerProvider, trace } from '@opentelemetry/api';
import { type LoggerProvider, logs } from '@opentelemetry/api-logs';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { LoggerProvider as SdkLoggerProvider } from '@opentelemetry/sdk-logs';
import { TracerProvider } from '@opentelemetry/sdk-trace';
import { afterEach, describe, expect, it } from 'vitest';
import { resourceOf, Sdk } from '../../src/otel/sdk.js';

const api = (): Record<string, unknown> =>
  (globalThis as unknown as Record<symbol, Record<string, unknown>>)[Symbol.for('opentelemetry.js.api.1')] ?? {};

afterEach(() => {
  trace.disable();
  logs.disable();
  delete api().logs;
});

/** One that waits for an SDK: none is registered when it is asked for. */
function standIn(): LoggerProvider & { _setDelegate(provider: unknown): void } {
  logs.disable();
  return logs.getLoggerProvider() as ReturnType<typeof standIn>;
}

describe('the logger provider', () => {
  const provider = new SdkLoggerProvider();

  it('is the one that 2.x has registered, also where the API has logs of its own', () => {
    // What an API from 1.10 on leaves there, asked before or after: nothing, or a stand-in.
    metrics.setGlobalMeterProvider(metrics.getMeterProvider());
    for (const left of [undefined, standIn()]) {
      logs.disable();
      api().logs = left;
      const sdk = new Sdk();
      expect(sdk.loggerProvider).toBeUndefined();
      logs.setGlobalLoggerProvider(provider);
      expect(sdk.loggerProvider).toBe(provider);
    }
  });

  it('is the one that 3.x has registered, beside whatever 2.x has left', () => {
    logs.setGlobalLoggerProvider(standIn());
    api().logs = provider;
    expect(new Sdk().loggerProvider).toBe(provider);
  });

  it('is the one that was handed over, once that is more than a stand-in', () => {
    const sdk = new Sdk();
    const given = standIn();
    sdk.giveLoggerProvider(given);
    logs.disable();
    const global = new SdkLoggerProvider();
    logs.setGlobalLoggerProvider(global);
    expect(sdk.loggerProvider).toBe(global);
    given._setDelegate(provider);
    expect(sdk.loggerProvider).toBe(provider);
  });
});

describe('the tracer provider', () => {
  const provider = new TracerProvider({ resource: resourceFromAttributes({ 'service.name': 'shop' }) });

  it('is the registered one, through its stand-in', () => {
    const sdk = new Sdk();
    expect(sdk.tracerProvider).toBeUndefined();
    trace.setGlobalTracerProvider(provider);
    expect(sdk.tracerProvider).toBe(provider);
    expect(resourceOf(provider)?.attributes).toEqual({ 'service.name': 'shop' });
  });

  it('is none where stand-ins stand in for each other', () => {
    trace.setGlobalTracerProvider(new ProxyTracerProvider());
    const sdk = new Sdk();
    sdk.giveTracerProvider(new ProxyTracerProvider());
    expect(sdk.tracerProvider).toBeUndefined();
  });

  it('is the one that was handed over', () => {
    trace.setGlobalTracerProvider(new TracerProvider());
    const sdk = new Sdk();
    sdk.giveTracerProvider(provider);
    expect(sdk.tracerProvider).toBe(provider);
  });
});
