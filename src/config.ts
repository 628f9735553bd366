// SPDX-License-Identifier: Apache-2.0
import type { EventLoopInstrumentationConfig } from './types.js';

type NumberOption = 'blockThresholdMillis' | 'delayIntervalMillis' | 'maxBlocksPerMinute';
type BooleanOption = 'runtimeMetrics';
type HookOption = 'blockHook' | 'ignoreBlock';

/** The options with defaults filled in. */
export type ResolvedConfig = Required<Pick<EventLoopInstrumentationConfig, NumberOption | BooleanOption>> &
  Pick<EventLoopInstrumentationConfig, HookOption>;

interface NumberRule {
  readonly default: number;
  readonly min: number;
  readonly max: number;
}

const NUMBERS: Record<NumberOption, NumberRule> = {
  blockThresholdMillis: { default: 50, min: 1, max: 3_600_000 },
  delayIntervalMillis: { default: 20, min: 1, max: 1_000 },
  maxBlocksPerMinute: { default: 60, min: 0, max: 1_000_000 },
};
/** Their defaults. */
const BOOLEANS: Record<BooleanOption, boolean> = {
  runtimeMetrics: false,
};
const HOOKS: readonly HookOption[] = ['blockHook', 'ignoreBlock'];
const KNOWN = new Set<string>(['enabled', ...Object.keys(NUMBERS), ...Object.keys(BOOLEANS), ...HOOKS]);

/** The environment variable of an option: `blockThresholdMillis` is `OTEL_EVENT_LOOP_BLOCK_THRESHOLD_MILLIS`. */
export function environmentName(option: string): string {
  return `OTEL_EVENT_LOOP_${option.replace(/[A-Z]/g, '_$&').toUpperCase()}`;
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

  const resolved = {} as Record<string, unknown>;
  for (const [option, rule] of Object.entries(NUMBERS)) {
    resolved[option] = resolveNumber(option, rule, given[option], environment, warn);
  }
  for (const [option, byDefault] of Object.entries(BOOLEANS)) {
    resolved[option] = resolveBoolean(option, byDefault, given[option], environment, warn);
  }
  for (const option of HOOKS) {
    const value = given[option];
    if (value === undefined) continue;
    if (typeof value === 'function') resolved[option] = value;
    else warn(`option "${option}" must be a function, not ${describe(value)}; it is ignored`);
  }
  return resolved as unknown as ResolvedConfig;
}

function resolveNumber(
  option: string,
  rule: NumberRule,
  given: unknown,
  environment: NodeJS.ProcessEnv,
  warn: (message: string) => void,
): number {
  const expected = `must be a number from ${rule.min} to ${rule.max}`;
  if (given !== undefined) {
    if (typeof given === 'number' && given >= rule.min && given <= rule.max) return given;
    warn(`option "${option}" ${expected}, not ${describe(given)}; the default ${rule.default} is used`);
    return rule.default;
  }
  const name = environmentName(option);
  const text = environment[name]?.trim();
  if (!text) return rule.default;
  const value = Number(text);
  if (value >= rule.min && value <= rule.max) return value;
  warn(`${name} ${expected}, not ${describe(text)}; the default ${rule.default} is used`);
  return rule.default;
}

function resolveBoolean(
  option: string,
  byDefault: boolean,
  given: unknown,
  environment: NodeJS.ProcessEnv,
  warn: (message: string) => void,
): boolean {
  if (given !== undefined) {
    if (typeof given === 'boolean') return given;
    warn(`option "${option}" must be true or false, not ${describe(given)}; the default ${byDefault} is used`);
    return byDefault;
  }
  const name = environmentName(option);
  const text = environment[name]?.trim();
  if (!text) return byDefault;
  // As the specification of OpenTelemetry has it: in any case.
  const value = text.toLowerCase();
  if (value === 'true' || value === 'false') return value === 'true';
  warn(`${name} must be true or false, not ${describe(text)}; the default ${byDefault} is used`);
  return byDefault;
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `"${value.slice(0, 40)}"`;
  if (value === null || typeof value !== 'object') return String(value);
  return Array.isArray(value) ? 'an array' : 'an object';
}
