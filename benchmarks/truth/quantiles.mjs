// SPDX-License-Identifier: Apache-2.0
// Quantiles of OpenTelemetry's histograms.

/** @returns the edges of the bucket that holds the quantile; for the maximum the maximum itself, twice. */
export function explicitBucket({ buckets: { boundaries, counts }, count, max }, q) {
  if (q === 1) return [max, max];
  let left = Math.ceil(q * count);
  const index = counts.findIndex((inBucket) => {
    left -= inBucket;
    return left <= 0;
  });
  return [boundaries[index - 1] ?? 0, boundaries[index] ?? Number.POSITIVE_INFINITY];
}

/** Whether `seen` lies in the bucket, 15 % or 5 ms at its edges. */
export function bucketsAgree(low, high, seen) {
  return seen >= Math.min(low / 1.15, low - 0.005) && seen <= Math.max(high * 1.15, high + 0.005);
}

/** The middle of the exponential bucket that holds the quantile. */
export function exponentialQuantile({ zeroCount, positive: { offset, bucketCounts }, scale, count, max }, q) {
  if (q === 1) return max;
  let left = Math.ceil(q * count) - zeroCount;
  if (left <= 0) return 0;
  const index = bucketCounts.findIndex((inBucket) => {
    left -= inBucket;
    return left <= 0;
  });
  return 2 ** ((offset + index + 0.5) / 2 ** scale);
}
