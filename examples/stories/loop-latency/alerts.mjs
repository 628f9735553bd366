// SPDX-License-Identifier: Apache-2.0
// What a Prometheus does with the histogram: the difference between two looks at it, and rules on that. The rules for a
// real one, and a test of them with a real one, are in examples/monitoring.

/** Percentiles and mean, in milliseconds, of what came between two states of a cumulative histogram. */
export function between(before, after, shares) {
  const counts = after.bucketCounts.map((count, i) => Number(count) - Number(before?.bucketCounts[i] ?? 0));
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return undefined;
  const quantiles = shares.map((share) => quantileOf(counts, after.explicitBounds, total * share) * 1000);
  return { mean: ((after.sum - (before?.sum ?? 0)) / total) * 1000, quantiles };
}

/** As Prometheus' histogram_quantile: evenly spread in its bucket; the last one has no end, so its beginning. */
function quantileOf(counts, bounds, rank) {
  let seen = 0;
  for (const [i, count] of counts.entries()) {
    if (seen + count >= rank && count > 0) {
      const from = i === 0 ? 0 : bounds[i - 1];
      return i === bounds.length ? from : from + ((bounds[i] - from) * (rank - seen)) / count;
    }
    seen += count;
  }
  return bounds.at(-1);
}

/** Fires once what it watches has been over its limit for so long, and resolves with the first look below. */
export class Rule {
  #since;
  firedAt;
  resolvedAt;

  constructor(name, limitMillis, forMillis) {
    this.name = name;
    this.limitMillis = limitMillis;
    this.forMillis = forMillis;
  }

  look(valueMillis, now) {
    if (valueMillis > this.limitMillis) {
      this.#since ??= now;
      if (now - this.#since >= this.forMillis) this.firedAt ??= now;
    } else {
      this.#since = undefined;
      if (this.firedAt !== undefined) this.resolvedAt ??= now;
    }
  }
}
