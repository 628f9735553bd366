// SPDX-License-Identifier: Apache-2.0
// `npm run test:scenarios`: all scenarios with `attribution: 'on-demand'`, where they do not choose themselves. Those
// that ask for what only 'exact' gives are left out, each with its reason. Not part of CI: where the machine has no core for the
// watchdog, nobody looks in time.
import { beforeEach } from 'vitest';
import { ATTRIBUTION } from './run-fixture.js';

const TIME = "'eventloop.time' is written by 'exact' alone";
const NO_LOOK = 'nobody can look here: blocks are reported under no span';
const NO_WATCHDOG = 'worker threads have no watchdog: blocks are reported under no span';
const UNSEEN_SENDER = 'who asked is not known of this kind of handle while nothing is followed: nobody is blamed';
const NATIVE_HANG = 'what hangs in native code before the first look has no span';
const HEAD = 'the first milliseconds are taken for those of whoever ran when the hooks came';

/** Titles as the reporter prints them, without the file. */
const DIFFERS: readonly (readonly [title: RegExp, reason: string])[] = [
  [/gives parent and child each their own time/, TIME],
  [/charges a callback of one request that another runs to the former/, TIME],
  [/comes back to the promise job that ran it/, TIME],
  [/is idle time between platform tasks/, TIME],
  [/gives every span of a random workload its own time/, TIME],
  [/adds up, over all spans, to what Node\.js says/, TIME],
  [/a worker that ends at any step of its work/, 'a watchdog that has ended does not look'],
  [
    /(channel of fork|worker|datagrams|TLS over a socket|last \w+.*|compression|HTTP\/2 session): is the time of who sent last/,
    UNSEEN_SENDER,
  ],
  [/(own compression|own worker|bound on its own connection): is its maker’s/, UNSEEN_SENDER],
  [/entered context: is believed as long as it is active/, HEAD],
  [/comes back out of hundreds of nested scopes/, HEAD],
  [/a pile of callbacks says how many there were/, `${HEAD}, and how many they were nobody has counted`],
  [/a read of a FIFO that nobody writes to|execSync of a command that does not end/, NATIVE_HANG],
  [/speaks gRPC where the variables say so/, NATIVE_HANG],
  [/ends the process by a signal with hangAction: abort \(execSync\)/, NATIVE_HANG],
  [/is native work between two callbacks/, 'behind an idle loop it is taken for idle time'],
  [/beats rarely while nothing goes on/, 'a loop that is idle only now and then goes on beating for longer'],
  [/works in a worker thread that loads it|watches worker threads as well/, NO_WATCHDOG],
  [/looks again once the stack has room for it/, 'hooks take more room on the stack than a look'],
  [/opens no inspector session while the loop is healthy/, 'a loop that is a little late is looked at'],
  [/needs no watchdog/, NO_LOOK],
  [/stands aside/, NO_LOOK],
  [/goes without the stack, and reports all else/, NO_LOOK],
  [
    /it says what it does, and heeds the switches of OpenTelemetry (behind|ahead of|in code|twice)/,
    'it says another word',
  ],
];

if (ATTRIBUTION === 'on-demand') {
  beforeEach(({ task, skip }) => {
    const titles = [task.name];
    for (let suite = task.suite; suite?.name; suite = suite.suite) titles.unshift(suite.name);
    const reason = DIFFERS.find(([title]) => title.test(titles.join(' ')))?.[1];
    if (reason !== undefined) skip(reason);
  });
}
