// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';

/**
 * How long the machine withheld its cores so far, in ms: from fixtures, as they say, and from this process, and what its
 * hypervisor gave to others. 0 where the operating system does not tell.
 */
export function heldUpMillis(): number {
  return shared.heldUpInFixtures + ownQueueMillis() + stolenMillis();
}

/** What a fixture says of itself. */
export function noteHeldUp(millis: number): void {
  if (millis > 0) shared.heldUpInFixtures += millis;
}

/** The runner and the tests have a copy of this module each. */
const KEY = Symbol.for('held up in fixtures');
const globals = globalThis as { [KEY]?: { heldUpInFixtures: number } };
globals[KEY] ??= { heldUpInFixtures: 0 };
const shared = globals[KEY];

function ownQueueMillis(): number {
  return Number(words(`/proc/self/task/${process.pid}/schedstat`)[1] ?? 0) / 1e6;
}

function stolenMillis(): number {
  // Of all cores, in hundredths of a second.
  return Number(words('/proc/stat')[8] ?? 0) * 10;
}

function words(file: string): string[] {
  try {
    return readFileSync(file, 'latin1').split(/\s+/, 9);
  } catch {
    return [];
  }
}
