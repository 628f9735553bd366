// SPDX-License-Identifier: Apache-2.0

/** Why nothing is done to the process: said before anything is sent to it. */
export class Refusal extends Error {}

/** The exit code: nothing was done to the process. */
export const REFUSED = 2;
