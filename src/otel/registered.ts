// SPDX-License-Identifier: Apache-2.0
import type { ContextManager } from '@opentelemetry/api';

export interface ApiGlobal {
  context?: ContextManager;
  trace?: unknown;
  logs?: unknown;
  diag?: unknown;
}

/** Where every copy of `@opentelemetry/api` 1.x, of whatever version, keeps what was registered with it. */
export const API_KEY = Symbol.for('opentelemetry.js.api.1');
export const holder = globalThis as unknown as Record<symbol, ApiGlobal | undefined>;

/** What is registered now; undefined where nothing ever was. */
export function registered(): ApiGlobal | undefined {
  return holder[API_KEY];
}
