// SPDX-License-Identifier: Apache-2.0
import './system/own-code.js';

export { allowBlocking, EventLoopInstrumentation } from './instrumentation.js';
export type {
  Block,
  BlockShare,
  EntryOperation,
  EventLoopInstrumentationConfig,
  StackPaths,
  StartUpTime,
} from './types.js';
