// SPDX-License-Identifier: Apache-2.0
import type { Context } from '@opentelemetry/api';
import type { Tally } from './span-time.js';

/** Whose time it is while a handle calls back in the context of whoever made it. */
export interface Override {
  /** Its maker's context, which says nothing about what it calls back for. */
  context: Context;
  /** The context to charge in its place; undefined where nobody can tell. */
  user: Context | undefined;
  /** The same as a tally. The recorder's own affair. */
  tally: Tally;
}

/**
 * Whether the context that runs is that of a handle's maker, and somebody else is to be charged. That lasts for the
 * callback of the handle and the ticks that follow it, but not in contexts that the application enters.
 */
export class OverriddenContext {
  private _override: Override | undefined;
  /** How many contexts the application has entered inside of it and not yet left. */
  private _scopes = 0;
  /** Whether the application has entered the maker's context itself meanwhile: ticks in it may be of either. */
  private _isMixed = false;

  /** In force now, or waiting for {@link scopes} to be left. */
  get override(): Override | undefined {
    return this._override;
  }

  get scopes(): number {
    return this._scopes;
  }

  /** Whom to charge while `context` runs, if not whose context it is. */
  tallyIn(context: Context): Tally | undefined {
    const override = this._override;
    return override !== undefined && context === override.context && this._scopes === 0 ? override.tally : undefined;
  }

  /** A callback of `override`'s handle begins. */
  begin(override: Override): void {
    this._override = override;
    this._scopes = 0;
    this._isMixed = false;
  }

  /** Another callback begins, or what was before it is in force again. */
  set(override: Override | undefined, scopes: number): void {
    this._override = override;
    this._scopes = scopes;
  }

  /** A tick behind a handle's callback begins. @returns whether nobody can tell any more whose ticks these are. */
  beginTick(): boolean {
    this._scopes = 0;
    const isMixed = this._isMixed;
    this._isMixed = false;
    return isMixed;
  }

  /** The application enters `context`, and will leave it. */
  openScope(context: Context | undefined): void {
    this._scopes++;
    if (context === this._override?.context) this._isMixed = true;
  }

  closeScope(): void {
    this._scopes--;
  }
}
