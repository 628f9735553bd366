// SPDX-License-Identifier: Apache-2.0
export { allowBlocking, EventLoopInstrumentation } from './instrumentation.js';
export type { Block, BlockShare, EventLoopInstrumentationConfig, StackPaths, StartUpTime } from './types.js';
