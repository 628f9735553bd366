// SPDX-License-Identifier: Apache-2.0

// A test holds these two against package.json.
export const PACKAGE_NAME = 'opentelemetry-instrumentation-event-loop';
export const PACKAGE_VERSION = '0.1.0';
