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

/**
 * Whether `seen` lies in the bucket, 15 % at its edges, or the 1 ms below which we take no notice and the network has its
 * share. A bucket without width is the maximum itself: 15 % or 5 ms.
 */
export function bucketsAgree(low, high, seen) {
  const slack = low === high ? 0.005 : 0.001;
  return seen >= Math.min(low / 1.15, low - slack) && seen <= Math.max(high * 1.15, high + slack);
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
