// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util';
import { PACKAGE_NAME } from '../version.js';
import { Refusal } from './refusal.js';

/** What the command line asks for. */
export interface AttachOptions {
  readonly pid: number;
  /** How long the process may take to answer. Milliseconds. */
  readonly timeoutMillis: number;
  readonly json: boolean;
}

export const USAGE = `Who blocks the event loop of a Node.js process that runs already?

  npx ${PACKAGE_NAME} attach PID [options]

It says what the process is in right now, and goes. Options:
  --timeout S   how long the process may take to answer (5)
  --json        one JSON object on stdout
`;

/** @throws Refusal for what cannot be understood. */
export function attachOptions(args: readonly string[]): AttachOptions | 'help' {
  const { values, positionals } = parse(args);
  if (values.help) return 'help';
  const [command, pid, ...more] = positionals;
  if (command !== 'attach') throw new Refusal(`${command ?? 'nothing'} is no command; known is "attach PID"`);
  if (more.length > 0) throw new Refusal(`one process at a time, not ${more.join(', ')} as well`);
  return {
    pid: number('PID', pid, 1, 2 ** 31),
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
