// SPDX-License-Identifier: Apache-2.0
import { executionAsyncResource } from 'node:async_hooks';
import type { Context, Span } from '@opentelemetry/api';
import { now } from '../system/clock.js';
import { classNameOf, readOff } from '../system/foreign.js';
import type { SharedMemory } from '../system/shared-memory.js';
import type { Override } from './overridden-context.js';
import { type RecorderListener, SliceRecorder } from './recorder.js';
import type { Tally } from './span-time.js';

const STARTING = 'start-up';
const PROMISE_JOB = 'promise job';
const TICK = 'process.nextTick';
const NATIVE = 'native code';

/** What is told of every slice. Called inside async hooks: must not throw. Times are `now()`. */
export interface SliceSink {
  /** Code ran under `span`, in a callback of this kind. */
  onSlice(span: Span | undefined, asyncResource: string, startedAt: number, endedAt: number): void;
  /** The iteration that the slices since the last one belong to is over. */
  onIteration(isBlock: boolean): void;
}

/**
 * The recorder of `./debug`: cuts slices at each callback as well, and tells the sink of every one. In a class of its
 * own, so that without `./debug` nothing has to ask whether anybody listens.
 */
export class TracedRecorder extends SliceRecorder {
  private _asyncResource = STARTING;
  /** How long each kind of callback ran in this iteration, in milliseconds. */
  private readonly _ran = new Map<string, number>();
  private _isBlock = false;

  constructor(
    private readonly _sink: SliceSink,
    thresholdMillis: number,
    headMillis: number,
    listener: RecorderListener,
    memory: SharedMemory | undefined,
  ) {
    super(thresholdMillis, headMillis, listener, memory, true);
  }

  override enterCallback(resource: object, context: Context | undefined): void {
    super.enterCallback(resource, context);
    if (this._calls.depth === 1) this._cut(kindOf(resource));
  }

  protected override _enterJob(context: Context | undefined, override: Override | undefined): void {
    super._enterJob(context, override);
    if (this._calls.depth === 1) this._cut(executionAsyncResource() instanceof Promise ? PROMISE_JOB : TICK);
  }

  override enterPromiseJob(): void {
    super.enterPromiseJob();
    this._cut(PROMISE_JOB);
  }

  override leaveCallback(): void {
    super.leaveCallback();
    if (this._calls.depth === 0) this._cut(NATIVE);
  }

  protected override _add(tally: Tally, millis: number, time: number): void {
    super._add(tally, millis, time);
    if (millis <= 0) return;
    this._ran.set(this._asyncResource, (this._ran.get(this._asyncResource) ?? 0) + millis);
    this._sink.onSlice(tally.span, this._asyncResource, time - millis, time);
  }

  protected override _blockedIn(): string | undefined {
    this._isBlock = true;
    const [most] = [...this._ran].sort(([, a], [, b]) => b - a);
    return most?.[0];
  }

  protected override _onIterationEnd(): void {
    this._sink.onIteration(this._isBlock);
    this._isBlock = false;
    this._ran.clear();
  }

  private _cut(asyncResource: string): void {
    if (asyncResource === this._asyncResource) return;
    const time = now();
    this._charge(time);
    this._since = time;
    this._asyncResource = asyncResource;
  }
}

/** Some kinds of resources share a class and say themselves what they are, as HTTPINCOMINGMESSAGE does. */
function kindOf(resource: object): string {
  return readOff(resource, readType, '') || classNameOf(resource) || 'unknown';
}

function readType(resource: object): string {
  const { type } = resource as { type?: unknown };
  return typeof type === 'string' ? type : '';
}
