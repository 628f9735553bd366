// SPDX-License-Identifier: Apache-2.0
// Bundled by Temporal and run where nothing is but what is bundled.
import { proxyActivities } from '@temporalio/workflow';
import type * as tasks from '../tasks.mjs';

const { reserve, charge, ship } = proxyActivities<typeof tasks>({ startToCloseTimeout: '60s' });

export async function order(it: object): Promise<object> {
  return ship(await charge(await reserve(it)));
}
