// SPDX-License-Identifier: Apache-2.0
import { parseHeaders } from './otel/otlp.js';
import type { EventLoopInstrumentationConfig } from './types.js';

type HookOption = 'blockHook' | 'ignoreBlock';
type OptionalOption = 'hangReportUrl' | 'hangReportHeaders' | 'metricAttributes';
type RuledOption = Exclude<keyof EventLoopInstrumentationConfig, 'enabled' | HookOption>;

/** The options with defaults filled in. */
export type ResolvedConfig = Required<Pick<EventLoopInstrumentationConfig, Exclude<RuledOption, OptionalOption>>> &
  Pick<EventLoopInstrumentationConfig, OptionalOption | HookOption>;

/** What an option may be. */
export interface Rule {
  readonly default: unknown;
  /** Completes "must be …". */
  readonly expected: string;
  accepts(value: unknown): boolean;
  /** From an environment variable. What it returns is checked like any other value. */
  parse(text: string): unknown;
}

const RULES: Record<RuledOption, Rule> = {
  blockThresholdMillis: number({ default: 50, min: 1, max: 3_600_000 }),
  delayIntervalMillis: number({ default: 20, min: 1, max: 1_000 }),
  attribution: oneOf('on-demand', 'exact'),
  watchdog: boolean({ default: true }),
  workerWatchdogs: boolean({ default: false }),
  hangThresholdMillis: number({ default: 2_000, min: 0, max: 3_600_000 }),
  hangAction: oneOf('report', 'abort'),
  hangReportUrl: {
    default: undefined,
    expected: 'an http or https URL',
    accepts: (value) => typeof value === 'string' && /^https?:\/\/[^/]/.test(value) && URL.canParse(value),
    parse: (text) => text,
  },
  hangReportHeaders: {
    default: undefined,
    expected: 'an object of strings',
    accepts: (value) => isObject(value) && Object.values(value).every((header) => typeof header === 'string'),
    parse: (text) => {
      const { headers, isWhole } = parseHeaders(text);
      return isWhole ? headers : undefined;
    },
  },
  maxBlocksPerMinute: number({ default: 60, min: 0, max: 1_000_000 }),
  stackPaths: oneOf('absolute', 'relative', 'none'),
  runtimeMetrics: boolean({ default: false }),
  metricAttributes: {
    default: undefined,
    expected: 'an array of names of attributes, or a function',
    accepts: (value) =>
      typeof value === 'function' ||
      (Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === 'string' && name !== '')),
    parse: (text) => text.split(',').map((name) => name.trim()),
  },
};
const HOOKS: readonly HookOption[] = ['blockHook', 'ignoreBlock'];
const KNOWN = new Set<string>(['enabled', ...Object.keys(RULES), ...HOOKS]);

/** The environment variable of an option: `blockThresholdMillis` is `OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS`. */
export function environmentName(option: string): string {
  return `OTEL_EVENT_LOOP_${option.replace(/[A-Z]/g, '_$&').toUpperCase()}`;
}

/** What the user says of the instrumentation as a whole: off only where it says so. */
export function isEnabled(
  given: boolean | undefined,
  environment: NodeJS.ProcessEnv,
  warn: (message: string) => void,
): boolean {
  return resolveOption('enabled', boolean({ default: true }), given, environment, warn) as boolean;
}

/** The SDK's own switch. */
export function sdkIsDisabled(environment: NodeJS.ProcessEnv): boolean {
  return environment.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true';
}

/** What `@opentelemetry/auto-instrumentations-node` calls us in its lists. */
const SHORT_NAME = 'event-loop';

/** Which variable switches off what the command line loads, if one does: those of auto-instrumentations-node as well. */
export function switchedOffBy(environment: NodeJS.ProcessEnv): string | undefined {
  const listOf = (name: string) => (environment[name] ?? '').split(',').flatMap((item) => item.trim() || []);
  if (listOf('OTEL_NODE_DISABLED_INSTRUMENTATIONS').includes(SHORT_NAME)) return 'OTEL_NODE_DISABLED_INSTRUMENTATIONS';
  const enabled = listOf('OTEL_NODE_ENABLED_INSTRUMENTATIONS');
  return enabled.length > 0 && !enabled.includes(SHORT_NAME) ? 'OTEL_NODE_ENABLED_INSTRUMENTATIONS' : undefined;
}

/**
 * Checks every option: code wins over the environment, the environment over the default. A bad value costs one line
 * through `warn` and falls back to the default; nothing is thrown.
 */
export function resolveConfig(
  config: EventLoopInstrumentationConfig,
  environment: NodeJS.ProcessEnv,
  warn: (message: string) => void,
): ResolvedConfig {
  const given = config as Record<string, unknown>;
  for (const key of Object.keys(given)) {
    if (!KNOWN.has(key)) warn(`unknown option "${key}" is ignored; known are ${[...KNOWN].join(', ')}`);
  }

  const resolved: Record<string, unknown> = {};
  for (const [option, rule] of Object.entries(RULES)) {
    const value = resolveOption(option, rule, given[option], environment, warn);
    if (value !== undefined) resolved[option] = value;
  }
  for (const option of HOOKS) {
    const value = given[option];
    if (value === undefined) continue;
    if (typeof value === 'function') resolved[option] = value;
    else warn(`option "${option}" must be a function, not ${describe(value)}; it is ignored`);
  }
  return resolved as unknown as ResolvedConfig;
}

/** The value of one option, from the code or the environment. */
export function resolveOption(
  option: string,
  rule: Rule,
  given: unknown,
  environment: NodeJS.ProcessEnv,
  warn: (message: string) => void,
): unknown {
  const otherwise = rule.default === undefined ? 'it is ignored' : `the default ${rule.default} is used`;
  if (given !== undefined) {
    if (rule.accepts(given)) return given;
    warn(`option "${option}" must be ${rule.expected}, not ${describe(given)}; ${otherwise}`);
    return rule.default;
  }
  const name = environmentName(option);
  const text = environment[name]?.trim();
  if (!text) return rule.default;
  const value = rule.parse(text);
  if (rule.accepts(value)) return value;
  warn(`${name} must be ${rule.expected}, not ${describe(text)}; ${otherwise}`);
  return rule.default;
}

export function number(rule: { default: number | undefined; min: number; max: number }): Rule {
  return {
    default: rule.default,
    expected: `a number from ${rule.min} to ${rule.max}`,
    accepts: (value) => typeof value === 'number' && value >= rule.min && value <= rule.max,
    parse: Number,
  };
}

export function boolean(rule: { default: boolean }): Rule {
  return {
    default: rule.default,
    expected: 'true or false',
    accepts: (value) => typeof value === 'boolean',
    parse: (text) => ({ true: true, false: false })[text.toLowerCase()],
  };
}

/** The first one is the default. */
function oneOf(...values: readonly string[]): Rule {
  return {
    default: values[0],
    expected: values.map((value) => `"${value}"`).join(' or '),
    accepts: (value) => typeof value === 'string' && values.includes(value),
    parse: (text) => text,
  };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `"${value.slice(0, 40)}"`;
  if (value === null || typeof value !== 'object') return String(value);
  return Array.isArray(value) ? 'an array' : 'an object';
}
