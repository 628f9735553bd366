// SPDX-License-Identifier: Apache-2.0
// The gauge that everybody writes first: how late a timer is.
const LATE_MILLIS = 50;

let lateMillis = 0;
let times = 0;

export function startGauge(intervalMillis) {
  let expected = performance.now() + intervalMillis;
  setInterval(() => {
    const now = performance.now();
    if (now - expected >= LATE_MILLIS) {
      times++;
      lateMillis += now - expected;
    }
    expected = now + intervalMillis;
  }, intervalMillis).unref();
}

/** How often it was late by 50 ms or more, and by how much in all. */
export function seen() {
  return { times, lateMillis };
}
