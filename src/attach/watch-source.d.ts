// SPDX-License-Identifier: Apache-2.0
/** `inside/watch.ts` and what it needs, as one CommonJS module; see rolldown.config.mjs. */
export declare const WATCH_SOURCE: string;
