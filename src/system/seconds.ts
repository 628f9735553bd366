// SPDX-License-Identifier: Apache-2.0

/** Milliseconds as the seconds of telemetry: whole microseconds, as 0.271963 and not as 0.27196304599999815. */
export function toSeconds(millis: number): number {
  return Math.round(millis * 1e3) / 1e6;
}
