// SPDX-License-Identifier: Apache-2.0
import { syncFetch } from '../support/sync-fetch.mjs';

export async function fetchSales() {
  return JSON.parse(syncFetch(`${process.env.SALES_SERVICE}/sales`));
}
