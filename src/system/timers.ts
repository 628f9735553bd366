// SPDX-License-Identifier: Apache-2.0

// Kept from load on: fake timers of a test must not hold up ours, and an application may replace the global ones, or take
// them away.
export const startTimer = setTimeout;
export const stopTimer = clearTimeout;
export const startImmediate = setImmediate;
export const stopImmediate = clearImmediate;
