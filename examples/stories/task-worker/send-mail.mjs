// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';

const MAIL_SERVER_MILLIS = 20;

export async function sendMail() {
  await sleep(MAIL_SERVER_MILLIS);
}
