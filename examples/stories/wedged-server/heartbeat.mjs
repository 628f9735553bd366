// SPDX-License-Identifier: Apache-2.0
import { writeSync } from 'node:fs';

// Not console.log: what a thread prints goes through the event loop of the main thread.
setInterval(() => writeSync(1, `${new Date().toISOString()} heartbeat: all is well\n`), 250);
