// SPDX-License-Identifier: Apache-2.0
import { boolean, number, type Rule, resolveOption } from '../config.js';

/** The options of `./debug`; all are from the environment. */
export interface DebugOptions {
  /** The process fails when a block was longer. Milliseconds. */
  readonly failOverMillis: number | undefined;
  /** Whether the loading of modules counts for that limit. */
  readonly countLoading: boolean;
  /** Where the trace-event file goes, if it is wanted. */
  readonly traceFile: string | undefined;
}

const PATH: Rule = {
  default: undefined,
  expected: 'a path',
  accepts: (value) => typeof value === 'string',
  parse: (text) => text,
};

const COUNT_LOADING = boolean({ default: false });

export function debugOptions(environment: NodeJS.ProcessEnv, warn: (message: string) => void): DebugOptions {
  const failOver = number({ default: undefined, min: 1, max: 3_600_000 });
  return {
    failOverMillis: resolveOption('debugFailOverMillis', failOver, undefined, environment, warn) as number | undefined,
    countLoading: resolveOption('debugCountLoading', COUNT_LOADING, undefined, environment, warn) as boolean,
    traceFile: resolveOption('debugTraceFile', PATH, undefined, environment, warn) as string | undefined,
  };
}
