// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    runner: './test/support/runner.ts',
    // The machine's cores belong to the process under test.
    fileParallelism: false,
    maxConcurrency: 2,
  },
});
