// SPDX-License-Identifier: Apache-2.0

/**
 * `npx opentelemetry-instrumentation-event-loop attach PID`: who blocks the event loop of a process that runs already, and
 * has nothing of this in it. One file, which Node.js alone runs.
 */
import { attach } from './attach.js';
import { closeBehind, GUARD_COMMAND } from './guard.js';
import { attachOptions, USAGE } from './options.js';
import { Refusal } from './refusal.js';

/** Nothing was done to the process. */
const REFUSED = 2;

const [command, ...args] = process.argv.slice(2);
if (command === GUARD_COMMAND) {
  const [pid, startTicks = '', ports = ''] = args;
  void closeBehind(Number(pid), startTicks, ports.split(',').filter(Boolean).map(Number));
} else {
  void main();
}

async function main(): Promise<void> {
  try {
    const options = attachOptions(process.argv.slice(2));
    if (options === 'help') process.stdout.write(USAGE);
    else process.exitCode = await attach(options);
  } catch (error) {
    const isRefusal = error instanceof Refusal;
    process.stderr.write(`${isRefusal ? `refused: ${error.message}` : (error as Error).stack}\n`);
    process.exitCode = isRefusal ? REFUSED : 1;
  }
}
