// SPDX-License-Identifier: Apache-2.0
import { syncFetch } from '../../support/sync-fetch.mjs';

/** Inside of an async function, and synchronous all the same. */
export async function fetchKey(url) {
  return syncFetch(url);
}
