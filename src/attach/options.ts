// SPDX-License-Identifier: Apache-2.0
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { PACKAGE_NAME } from '../version.js';
import { Refusal } from './refusal.js';

/** What the command line asks for. */
export interface AttachOptions {
  readonly pid: number;
  /** Undefined for a snapshot; else it watches for so long. */
  readonly seconds: number | undefined;
  /** Of a watch: blocks from here on are told. Milliseconds. */
  readonly thresholdMillis: number;
  /** Of a watch: where the loop is written to, as `./debug` does. Absolute. */
  readonly traceFile: string | undefined;
  /** Whether what it has started is looked at as well. */
  readonly withChildren: boolean;
  /** How long the process may take to answer. Milliseconds. */
  readonly timeoutMillis: number;
  readonly json: boolean;
}

export const USAGE = `Who blocks the event loop of a Node.js process that runs already?

  npx ${PACKAGE_NAME} attach PID [options]

Without --seconds it says what the process is in right now, and goes. Options:
  --seconds N        watch for N seconds: each block as it comes, then a summary
  --threshold MS     of a watch: blocks from so many milliseconds on (50)
  --trace-file PATH  of a watch: the loop as a file for Perfetto or Chrome DevTools
  --children         the processes that it has started as well, and theirs
  --timeout S        how long a process may take to answer (5)
  --json             JSON objects on stdout, one a line
`;

/** @throws Refusal for what cannot be understood. */
export function attachOptions(args: readonly string[]): AttachOptions | 'help' {
  const { values, positionals } = parse(args);
  if (values.help) return 'help';
  const [command, pid, ...more] = positionals;
  if (command !== 'attach') throw new Refusal(`${command ?? 'nothing'} is no command; known is "attach PID"`);
  if (more.length > 0) throw new Refusal(`one process at a time, not ${more.join(', ')} as well`);
  const seconds = values.seconds === undefined ? undefined : number('--seconds', values.seconds, 1, 86_400);
  for (const name of ['threshold', 'trace-file'] as const) {
    if (seconds === undefined && values[name] !== undefined) throw new Refusal(`--${name} is for a watch: --seconds N`);
  }
  return {
    pid: number('PID', pid, 1, 2 ** 31),
    seconds,
    thresholdMillis: number('--threshold', values.threshold ?? '50', 1, 3_600_000),
    traceFile: values['trace-file'] === undefined ? undefined : resolve(values['trace-file']),
    withChildren: values.children,
    timeoutMillis: number('--timeout', values.timeout, 1, 3_600) * 1000,
    json: values.json,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seconds: { type: 'string' },
        threshold: { type: 'string' },
        'trace-file': { type: 'string' },
        children: { type: 'boolean', default: false },
        timeout: { type: 'string', default: '5' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new Refusal((error as Error).message);
  }
}

function number(name: string, text: string | undefined, min: number, max: number): number {
  const value = Number(text);
  if (text !== undefined && text.trim() !== '' && value >= min && value <= max) return value;
  throw new Refusal(`${name} must be a number from ${min} to ${max}${text === undefined ? '' : `, not "${text}"`}`);
}
