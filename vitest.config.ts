// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/on-demand.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A fixture waits for half of its time, and holds what it measures against its own thread's time.
    maxWorkers: 2,
  },
});
