// SPDX-License-Identifier: Apache-2.0
import type { Context } from '@opentelemetry/api';
import type { OverriddenContext, Override } from './overridden-context.js';

/**
 * How deep callbacks are nested, and what to go back to when one returns: native code calls back in the midst of others,
 * and an AsyncResource runs what it is given as a callback of its own.
 */
export class CallDepth {
  /** 0 outside of all callbacks, and in promise jobs, whose end is not told. */
  depth = 0;
  /** Whether something runs of which nobody has seen the beginning: that it returns says nothing of what is outside of it. */
  isInMidst = false;
  /** Whether the outermost callback is nested in a promise job. */
  private _isInJob = false;
  /** Contexts to go back to; the first is that of a promise job. */
  private readonly _contexts: (Context | undefined)[] = [];
  private readonly _overrides: (Override | undefined)[] = [];
  private readonly _scopes: number[] = [];

  /** A callback begins in the midst of `context`, if anything runs. */
  enter(context: Context | undefined, overridden: OverriddenContext): void {
    if (this.depth > 0) this._keep(this.depth, context, overridden);
    this.depth++;
  }

  /** Something is going on that nobody has seen begin. */
  beginInMidst(seesReturns: boolean): void {
    this.isInMidst = true;
    this.depth = seesReturns ? 1 : 0;
  }

  /** A promise job that has not ended is about to be interrupted by a callback. */
  interruptJob(context: Context | undefined, overridden: OverriddenContext): void {
    this._isInJob = true;
    this._keep(0, context, overridden);
  }

  /** A callback returns. @returns whether to something that goes on, which then is {@link context} and so on. */
  leave(): boolean {
    const depth = this.depth - 1;
    if (depth <= 0 && !this._isInJob) {
      this.depth = this.isInMidst ? 1 : 0;
      return false;
    }
    this.depth = depth;
    if (depth === 0) this._isInJob = false;
    return true;
  }

  get context(): Context | undefined {
    return this._contexts[this.depth];
  }

  get override(): Override | undefined {
    return this._overrides[this.depth];
  }

  get scopes(): number {
    return this._scopes[this.depth] as number;
  }

  /** No callback runs any more, whatever was seen of the end of the last one. */
  leaveAll(): void {
    this.depth = 0;
    this._isInJob = false;
    this.isInMidst = false;
  }

  /** Keeps no context any longer. */
  forget(): void {
    this.leaveAll();
    this._contexts.length = 0;
    this._overrides.length = 0;
    this._scopes.length = 0;
  }

  private _keep(depth: number, context: Context | undefined, overridden: OverriddenContext): void {
    this._contexts[depth] = context;
    this._overrides[depth] = overridden.override;
    this._scopes[depth] = overridden.scopes;
  }
}
