// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { environmentName, isEnabled, resolveConfig, sdkIsDisabled, switchedOffBy } from '../../src/config.js';
import type { EventLoopInstrumentationConfig } from '../../src/types.js';

function resolve(config: unknown, environment: NodeJS.ProcessEnv = {}) {
  const warnings: string[] = [];
  const resolved = resolveConfig(config as EventLoopInstrumentationConfig, environment, (line) => warnings.push(line));
  return { resolved, warnings };
}

const DEFAULTS = {
  blockThresholdMillis: 50,
  delayIntervalMillis: 20,
  attribution: 'on-demand',
  watchdog: true,
  workerWatchdogs: false,
  hangThresholdMillis: 2000,
  hangAction: 'report',
  maxBlocksPerMinute: 60,
  stackPaths: 'absolute',
  runtimeMetrics: false,
};

describe('resolveConfig', () => {
  it('has defaults', () => {
    expect(resolve({})).toEqual({ resolved: DEFAULTS, warnings: [] });
    expect(resolve({ enabled: true })).toEqual({ resolved: DEFAULTS, warnings: [] });
  });

  it('prefers code to the environment, and the environment to the default', () => {
    const environment = { OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '70', OTEL_EVENT_LOOP_DELAY_INTERVAL_MILLIS: ' 10 ' };
    expect(resolve({ blockThresholdMillis: 30 }, environment)).toEqual({
      resolved: { ...DEFAULTS, blockThresholdMillis: 30, delayIntervalMillis: 10 },
      warnings: [],
    });
  });

  it.each([
    ['blockThresholdMillis', 1, 3_600_000],
    ['delayIntervalMillis', 1, 1_000],
    ['hangThresholdMillis', 0, 3_600_000],
    ['maxBlocksPerMinute', 0, 1_000_000],
  ] as const)('%s: accepts %d and %d, refuses what is just outside', (option, min, max) => {
    for (const value of [min, max]) {
      expect(resolve({ [option]: value })).toEqual({ resolved: { ...DEFAULTS, [option]: value }, warnings: [] });
    }
    for (const value of [min - 0.001, max + 0.001]) {
      const { resolved, warnings } = resolve({ [option]: value });
      expect(resolved).toEqual(DEFAULTS);
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain(option);
    }
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, '50', null, [50], {}, true, 50n, Symbol('fifty'), () => 50])(
    'refuses %s as a number',
    (value) => {
      const { resolved, warnings } = resolve({ blockThresholdMillis: value });
      expect(resolved).toEqual(DEFAULTS);
      expect(warnings).toHaveLength(1);
    },
  );

  it.each(['fast', '-1', 'NaN', 'Infinity', '1e99', '0x'])('refuses %s from the environment', (value) => {
    const { resolved, warnings } = resolve({}, { OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: value });
    expect(resolved).toEqual(DEFAULTS);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS');
  });

  it.each([
    ['attribution', 'exact', 'sampled'],
    ['hangAction', 'abort', 'restart'],
    ['stackPaths', 'relative', 'short'],
    ['stackPaths', 'none', 'None'],
    ['watchdog', false, 'no'],
    ['workerWatchdogs', true, 'no'],
    ['hangReportUrl', 'https://collector:4318', 'collector:4318'],
    ['hangReportHeaders', { 'x-key': 'a=b c' }, 'x-key'],
  ])('%s: accepts %j, refuses %j', (option, good, bad) => {
    const name = environmentName(option);
    const text = typeof good === 'object' ? 'x-key=a=b%20c' : String(good);
    expect(resolve({ [option]: good })).toEqual({ resolved: { ...DEFAULTS, [option]: good }, warnings: [] });
    expect(resolve({}, { [name]: text })).toEqual({ resolved: { ...DEFAULTS, [option]: good }, warnings: [] });
    for (const { resolved, warnings } of [resolve({ [option]: bad }), resolve({}, { [name]: bad })]) {
      expect(resolved).toEqual(DEFAULTS);
      expect(warnings).toHaveLength(1);
    }
  });

  it('takes true and false as booleans, from the environment in any case', () => {
    expect(resolve({ runtimeMetrics: true }).resolved.runtimeMetrics).toBe(true);
    for (const [text, value] of [
      ['true', true],
      [' TRUE ', true],
      ['False', false],
    ] as const) {
      const environment = { OTEL_EVENT_LOOP_RUNTIME_METRICS: text };
      expect(resolve({}, environment)).toEqual({ resolved: { ...DEFAULTS, runtimeMetrics: value }, warnings: [] });
      expect(resolve({ runtimeMetrics: false }, environment).resolved.runtimeMetrics).toBe(false);
    }
  });

  it('takes names of attributes, or a function, for the metrics', () => {
    const names = ['http.route', 'eventloop.entry.kind'];
    const environment = { OTEL_EVENT_LOOP_METRIC_ATTRIBUTES: ' http.route , eventloop.entry.kind' };
    for (const found of [resolve({ metricAttributes: names }), resolve({}, environment)]) {
      expect(found).toEqual({ resolved: { ...DEFAULTS, metricAttributes: names }, warnings: [] });
    }
    const give = () => ({});
    expect(resolve({ metricAttributes: give }).resolved).toEqual({ ...DEFAULTS, metricAttributes: give });
    for (const bad of ['http.route', [], [''], [1], {}, true]) {
      const { resolved, warnings } = resolve({ metricAttributes: bad });
      expect(resolved).toEqual(DEFAULTS);
      expect(warnings).toEqual([expect.stringContaining('"metricAttributes" must be an array of names')]);
    }
    expect(resolve({}, { OTEL_EVENT_LOOP_METRIC_ATTRIBUTES: 'a,,b' }).warnings).toHaveLength(1);
  });

  it.each([1, 'true', null, [true]])('refuses %s as a boolean', (value) => {
    const { resolved, warnings } = resolve({ runtimeMetrics: value });
    expect(resolved).toEqual(DEFAULTS);
    expect(warnings).toEqual([expect.stringContaining('runtimeMetrics')]);
  });

  it.each(['1', 'yes', 'on'])('refuses %s as a boolean from the environment', (value) => {
    const { resolved, warnings } = resolve({}, { OTEL_EVENT_LOOP_RUNTIME_METRICS: value });
    expect(resolved).toEqual(DEFAULTS);
    expect(warnings).toEqual([expect.stringContaining('OTEL_EVENT_LOOP_RUNTIME_METRICS')]);
  });

  it('takes an empty variable for one that is not set', () => {
    expect(resolve({}, { OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS: '' })).toEqual({ resolved: DEFAULTS, warnings: [] });
  });

  it('says which options are unknown', () => {
    const { warnings } = resolve({ treshold: 1, Watchdog: true });
    expect(warnings).toHaveLength(2);
  });

  it('names the variables after the options', () => {
    expect(environmentName('maxBlocksPerMinute')).toBe('OTEL_EVENT_LOOP_MAX_BLOCKS_PER_MINUTE');
  });
});

describe('switches', () => {
  it('is enabled but where the code, or else the environment, says otherwise', () => {
    const warnings: string[] = [];
    const enabled = (given: unknown, text?: string) =>
      isEnabled(given as boolean, { OTEL_EVENT_LOOP_ENABLED: text }, (line) => warnings.push(line));
    expect([enabled(undefined), enabled(undefined, ' False '), enabled(true, 'false'), enabled(false, 'true')]).toEqual(
      [true, false, true, false],
    );
    expect(warnings).toEqual([]);
    expect([enabled(undefined, 'no'), enabled('no')]).toEqual([true, true]);
    expect(warnings).toEqual([
      expect.stringContaining('OTEL_EVENT_LOOP_ENABLED must be true or false, not "no"'),
      expect.stringContaining('option "enabled" must be true or false, not "no"'),
    ]);
  });

  it.each([
    ['true', true],
    [' TRUE ', true],
    ['false', false],
    ['1', false],
    ['', false],
    [undefined, false],
  ])('takes OTEL_SDK_DISABLED=%s for %s, as the specification has it', (text, expected) => {
    expect(sdkIsDisabled({ OTEL_SDK_DISABLED: text })).toBe(expected);
  });

  it.each([
    [undefined, undefined, undefined],
    [' ', ' ,', undefined],
    ['http,fs', undefined, undefined],
    ['http, event-loop ', undefined, 'DISABLED'],
    [undefined, 'event-loop', undefined],
    [undefined, 'http, fs', 'ENABLED'],
    ['event-loop', 'event-loop', 'DISABLED'],
    // As a whole, not a part of a name.
    ['event-loops', 'my-event-loop', 'ENABLED'],
  ])('disabled: %s, enabled: %s: switched off by %s', (disabled, enabled, by) => {
    const environment = {
      OTEL_NODE_DISABLED_INSTRUMENTATIONS: disabled,
      OTEL_NODE_ENABLED_INSTRUMENTATIONS: enabled,
    };
    expect(switchedOffBy(environment)).toBe(by && `OTEL_NODE_${by}_INSTRUMENTATIONS`);
  });
});
