// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/on-demand.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two at a time took the core from each other for 40 ms a scenario, in the median; one alone has it for all but 4 ms. Where
    // that is more, it is measured anew (test/support/run-fixture.ts).
    maxWorkers: 1,
    // Of those that measure nothing.
    maxConcurrency: 2,
  },
});
