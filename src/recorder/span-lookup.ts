// SPDX-License-Identifier: Apache-2.0
import type { Context, Span } from '@opentelemetry/api';
import { requestOf } from '../otel/entry.js';
import { spanOf } from '../otel/span-of.js';
import type { Backlog } from './backlog.js';
import type { IterationLedger } from './iteration-ledger.js';
import { Tally, TallyStamp } from './span-time.js';

/** So much of the time of a span that has ended need not be remembered for the iteration in which it did. */
const LOSABLE_MICROS = 1000;

/**
 * Finds the tally of the span that a context belongs to; the first time it makes one. Per change of context: mostly it is
 * one of the last two, a request's own and that of a span inside it.
 */
export class SpanLookup {
  /** Own time of everything that ran under no span, and of native code between callbacks. */
  readonly nobody = new Tally(undefined);
  private _knownContext: Context | undefined;
  private _knownTally: Tally = this.nobody;
  private _formerContext: Context | undefined;
  private _formerTally: Tally = this.nobody;
  /** Whether what is known is about to change: to look up another one meanwhile would give one span two tallies. */
  private _isBusy = false;
  private _onNewSpan: (span: Span) => void = ignoreSpan;

  constructor(
    private readonly _ledger: IterationLedger,
    private readonly _backlog: Backlog,
  ) {}

  /** Calls `onNewSpan` with each span that gets a tally from now on; undefined: nobody any more. */
  followSpans(onNewSpan: ((span: Span) => void) | undefined): void {
    this._onNewSpan = onNewSpan ?? ignoreSpan;
  }

  get isBusy(): boolean {
    return this._isBusy;
  }

  /** @param running whose slice it still is. */
  tallyIn(context: Context, running: Tally): Tally {
    if (context === this._knownContext) return this._knownTally;
    if (context === this._formerContext) return this._formerTally;
    this._isBusy = true;
    let tally: Tally;
    try {
      tally = this._find(context);
    } catch {
      // Not kept: where the stack had no room for it, the next look-up finds whose context it is.
      this._isBusy = false;
      return this.nobody;
    }
    const last = this._formerTally;
    this._formerContext = this._knownContext;
    this._formerTally = this._knownTally;
    this._knownContext = context;
    this._knownTally = tally;
    if (!last.isTied && last !== this._formerTally && last !== tally) this._tie(last, running);
    this._isBusy = false;
    return tally;
  }

  /** The tally of `span`, if it ever got one. */
  tallyOf(span: Span): Tally | undefined {
    if (this._knownTally.span === span) return this._knownTally;
    if (this._formerTally.span === span) return this._formerTally;
    return TallyStamp.get(span);
  }

  /** Nothing of the application's is on the stack: whatever was left behind where it has overflowed is over. */
  recover(): void {
    this._isBusy = false;
  }

  /** Keeps no context any longer. */
  forget(): void {
    this._knownContext = undefined;
    this._formerContext = undefined;
  }

  private _find(context: Context): Tally {
    const span = spanOf(context);
    if (span === undefined) return this.nobody;
    const tally = this.tallyOf(span);
    if (tally !== undefined) return tally;
    const fresh = new Tally(span, this._backlog.origin, requestOf(context));
    this._onNewSpan(span);
    return fresh;
  }

  /**
   * `tally` is no longer among those at hand. Where its span is over and the iteration has only just begun, nothing is
   * lost with it, and most spans are over so soon: each that is tied costs half a microsecond.
   */
  private _tie(tally: Tally, running: Tally): void {
    if (tally.hasEnded && tally !== running && this._ledger.busyMicros < LOSABLE_MICROS) return;
    TallyStamp.tie(tally);
  }
}

function ignoreSpan(): void {}
