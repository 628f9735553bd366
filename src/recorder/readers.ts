// SPDX-License-Identifier: Apache-2.0
import type { Context } from '@opentelemetry/api';
import type { CallbackKind } from './backlog.js';
import type { Override } from './overridden-context.js';

/** Reads contexts off the context manager. Called inside async hooks: must not throw. Functions, called without `this`. */
export interface ContextReader {
  /** The active context: the raw store of the manager. */
  readonly active: () => Context | undefined;
  /** The same for async_hooks' current resource, where that is at hand already. */
  readonly of: (resource: object) => Context | undefined;
}

/** Knows the handles of Node.js. Called inside async hooks: must not throw. Functions, called without `this`. */
export interface HandleReader {
  /** Whom to charge while `resource` calls back in `context`, if not whose context it is. */
  readonly overrideOf: (resource: object, context: Context) => Override | undefined;
  /**
   * The same of a callback whose beginning nobody has seen, `headMillis` ago at the most: the application may have entered
   * `context` meanwhile.
   */
  readonly overrideInMidst: (resource: object, context: Context, headMillis: number) => Override | undefined;
  /** What a callback of `resource` brings. Asked only while there is a backlog. */
  readonly kindOf: (resource: object) => CallbackKind;
}
