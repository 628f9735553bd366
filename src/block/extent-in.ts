// SPDX-License-Identifier: Apache-2.0
// No import: the watchdog's thread has it as well.

/** The SDK starts its spans on whole milliseconds, rounded down, and counts on from there. */
const CLOCK_ROUNDING_MILLIS = 1;

/** A number of milliseconds has no room for nanoseconds in our days, and back-ends warn of a single one too many. */
const NUMBER_ROUNDING_MILLIS = 0.001;

/** From when to when, in milliseconds since the Unix epoch. */
export interface Extent {
  readonly startTimeMillis: number;
  readonly endTimeMillis: number;
}

/** Longer after its end nobody expects a trace to grow. Milliseconds. */
const OVER_MILLIS = 60_000;

/** Whether a span that ended at `spanEndMillis`, if at all, had done so long before `timeMillis`. */
export function isLongOver(spanEndMillis: number | undefined, timeMillis: number): boolean {
  return timeMillis - (spanEndMillis ?? Number.POSITIVE_INFINITY) > OVER_MILLIS;
}

/**
 * The part of a stretch of time that lies in the life of a span, or all of it where the two do not overlap.
 *
 * @param spanStartMillis undefined where the span does not tell.
 * @param spanEndMillis undefined where it has not ended by `nowMillis`.
 */
export function extentIn(
  stretch: Extent,
  spanStartMillis: number | undefined,
  spanEndMillis: number | undefined,
  nowMillis: number,
): Extent {
  const startTimeMillis = Math.max(stretch.startTimeMillis, (spanStartMillis ?? 0) + NUMBER_ROUNDING_MILLIS);
  const endTimeMillis = Math.min(
    stretch.endTimeMillis,
    spanEndMillis === undefined ? nowMillis - CLOCK_ROUNDING_MILLIS : spanEndMillis - NUMBER_ROUNDING_MILLIS,
  );
  return endTimeMillis > startTimeMillis ? { startTimeMillis, endTimeMillis } : stretch;
}
