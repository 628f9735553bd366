// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';

/** More than the time between two mails: at each moment one is under way. */
const MAIL_SERVER_MILLIS = 100;

export async function sendMail() {
  await sleep(MAIL_SERVER_MILLIS);
}
