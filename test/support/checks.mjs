// SPDX-License-Identifier: Apache-2.0
// Counts checks as they are made, for scripts that make one after the other.

const startedAt = performance.now();
let passed = 0;
let failed = 0;

/** Says what became of it: it passes unless `body` throws. @returns whether it passed. */
export function check(title, body) {
  try {
    body();
  } catch (error) {
    failed++;
    console.log(`FAILED  ${title}\n${error.message.replace(/^/gm, '        ')}`);
    return false;
  }
  passed++;
  console.log(`ok      ${title}`);
  return true;
}

/** Says how many there were, and has the process fail where one did. */
export function sumUp() {
  console.log(`\nin ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
