// SPDX-License-Identifier: Apache-2.0
import './system/own-code.js';

export { allowBlocking, EventLoopInstrumentation } from './instrumentation.js';
export type { Block, BlockShare, EventLoopInstrumentationConfig, StackPaths, StartUpTime } from './types.js';
