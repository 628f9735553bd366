// SPDX-License-Identifier: Apache-2.0
// The synchronous client as a task of piscina's.
export { syncFetch as default } from './sync-fetch.mjs';
