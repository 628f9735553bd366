// SPDX-License-Identifier: Apache-2.0

/**
 * `npx opentelemetry-instrumentation-event-loop attach PID`: who blocks the event loop of a process that runs already, and
 * has nothing of this in it. One file, which Node.js alone runs.
 */
import { attach } from './attach.js';
import { closeBehind, GUARD_COMMAND, type Guarded } from './guard.js';
import { attachOptions, USAGE } from './options.js';
import { REFUSED, Refusal } from './refusal.js';

const [command, ...args] = process.argv.slice(2);
if (command === GUARD_COMMAND) {
  void closeBehind(JSON.parse(args[0] ?? '[]') as Guarded[]);
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
