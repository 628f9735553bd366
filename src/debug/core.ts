// SPDX-License-Identifier: Apache-2.0

/**
 * The guard of tests: loaded once in a thread, by the doors of the runners and in its main realm. They themselves are light,
 * because jest loads them anew for each file.
 */
import '../system/own-code.js';
import { GUARD_KEY } from './guard-key.js';
import { TestGuard } from './test-guard.js';

(globalThis as unknown as Record<symbol, TestGuard>)[GUARD_KEY] ??= new TestGuard(process.env);
