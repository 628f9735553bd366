// SPDX-License-Identifier: Apache-2.0
import { readStolenTime } from '../../src/system/stolen-time.js';
import { threadTimeReader } from '../../src/system/thread-time.js';

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

const readThreadTime = threadTimeReader();

function ownQueueMillis(): number {
  return readThreadTime()?.queuedMillis ?? 0;
}

function stolenMillis(): number {
  return readStolenTime()?.reduce((sum, millis) => sum + millis, 0) ?? 0;
}
