// SPDX-License-Identifier: Apache-2.0
import { performance } from 'node:perf_hooks';
import { now } from '../system/clock.js';
import { classNameOf, readOff } from '../system/foreign.js';

/** What runs callbacks while modules are loaded: files being read, the thread of module customisation hooks, Node's loader. */
const LOADING = /^(?:FSReq|FileHandle|ReadFileJob|MessagePort|Worker|SafePromise)/;
/** A program that does nothing but read files for so long is at work, not starting. */
const LONGEST_MILLIS = 5_000;

/**
 * Tells when the program has started. Loading modules blocks for long, and is normal: `require` all inside the first
 * iteration, `import` (ahead of Node.js 22, or dynamic) spread over many. It is over with the first iteration that ran
 * a callback of any other kind.
 */
export class StartUp {
  private readonly _endsAt = now() + LONGEST_MILLIS;
  private _over = false;
  private readonly _expected = new Set<object>();

  /** The start of this program, if it is not over yet: a process that is up for long has started. */
  static now(): StartUp | undefined {
    return (performance.nodeTiming?.loopStart ?? 0) < 0 || now() < LONGEST_MILLIS ? new StartUp() : undefined;
  }

  get isOver(): boolean {
    return this._over;
  }

  /** It has lasted for so long that it is one no more, whether or not a callback has come to tell. */
  get isTooLong(): boolean {
    return now() > this._endsAt;
  }

  /** `resource` is ours: its callbacks say nothing about the program. */
  expect(resource: object): void {
    if (!this._over) this._expected.add(resource);
  }

  /** A callback of `resource` begins. */
  see(resource: object): void {
    if (this._over || this._expected.has(resource)) return;
    this._over = this.isTooLong || !(LOADING.test(classNameOf(resource)) || readOff(resource, tellsObservers, false));
    if (this._over) this._expected.clear();
  }
}

/**
 * Whether it is the Immediate in which Node.js hands entries to observers of `perf_hooks`: it comes behind the first garbage
 * collection, ours being one of them, and says nothing about the program. What it calls is closed over anew each time, and
 * only its source tells: https://github.com/nodejs/node/blob/v24.0.0/lib/internal/perf/observe.js#L101
 */
function tellsObservers(resource: { readonly _onImmediate?: unknown }): boolean {
  const { _onImmediate } = resource;
  return typeof _onImmediate === 'function' && /\[kDispatch\]\(\)/.test(Function.prototype.toString.call(_onImmediate));
}
