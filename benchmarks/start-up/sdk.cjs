// SPDX-License-Identifier: Apache-2.0
// An SDK that sends nothing: what is loaded by most who load this package.
'use strict';
process.env.OTEL_TRACES_EXPORTER ??= 'none';
process.env.OTEL_METRICS_EXPORTER ??= 'none';
process.env.OTEL_LOGS_EXPORTER ??= 'none';
process.env.OTEL_NODE_RESOURCE_DETECTORS ??= 'none';
const { NodeSDK } = require('@opentelemetry/sdk-node');

new NodeSDK().start();
