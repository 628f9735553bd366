// SPDX-License-Identifier: Apache-2.0
// Loaded ahead of each of Node.js's own tests by node-suite.mjs: a tracer provider, the context manager that nearly
// everybody has, and all of ours that there is, with a span active in the whole test (NODE_SUITE_SPAN). Low thresholds, so that blocks
// are found and reported in these short programs, too; nothing is exported.
'use strict';
const { context, trace } = require('@opentelemetry/api');
const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks');
const { NodeTracerProvider } = require('@opentelemetry/sdk-trace-node');
const { EventLoopInstrumentation } = require('../../dist/index.cjs');

const instrumentation = new EventLoopInstrumentation({
  attribution: process.env.TEST_ATTRIBUTION || 'exact',
  blockThresholdMillis: 10,
  hangThresholdMillis: 0,
});
const contextManager = new AsyncLocalStorageContextManager();
const provider = new NodeTracerProvider();
provider.register({ contextManager });
instrumentation.setTracerProvider(provider);
if (process.env.NODE_SUITE_SPAN !== 'none') {
  const span = trace.getTracer('node-suite').startSpan('test');
  // There is no `with` around a main module.
  contextManager._asyncLocalStorage.enterWith(trace.setSpan(context.active(), span));
}

// Node.js's collector of activities stops at a callback of what was created ahead of it, unless it is told not to: our
// heartbeat is such a one.
const initHooksFile = process.env.NODE_SUITE_INIT_HOOKS;
if (initHooksFile) {
  const initHooks = require(initHooksFile);
  require.cache[initHooksFile].exports = (options) => initHooks({ ...options, allowNoInit: true });
}
