// SPDX-License-Identifier: Apache-2.0
/** `inside/look.ts` and what it needs, as one CommonJS module; see rolldown.config.mjs. */
export declare const LOOK_SOURCE: string;
