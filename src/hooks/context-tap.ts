// SPDX-License-Identifier: Apache-2.0
import { AsyncLocalStorage, AsyncResource, executionAsyncResource } from 'node:async_hooks';
import type { Context, ContextManager } from '@opentelemetry/api';
import type { SliceRecorder } from '../recorder/recorder.js';
import { patchMethod } from '../system/patch.js';
import { HAS_ASYNC_CONTEXT_FRAME } from './hooks.js';

/** Looked up once: each register that `run` needs less lets the application nest it deeper. */
const apply = Reflect.apply;

type Store = Context | undefined;
type AnyFunction = (...args: unknown[]) => unknown;

interface Storage {
  /** Without AsyncContextFrame: where a resource keeps the store, and whether that counts. */
  readonly kResourceStore?: symbol;
  readonly enabled?: boolean;
  getStore(): Store;
  /** @param isScoped known to ours only. */
  enterWith(store: Store, isScoped?: boolean): void;
  run(store: Store, callback: AnyFunction, ...args: unknown[]): unknown;
}

interface Token {
  dispose(): void;
}

/** The parts of a context manager that change the context; `attach` exists in recent ones only. */
interface TappableManager extends ContextManager {
  _asyncLocalStorage?: unknown;
  attach?(context: Context): Token;
}

/**
 * Follows every change of the active context that `manager` makes, because the most common block of all, an HTTP
 * handler's first slice, runs inside a `context.with` that no async hook announces.
 *
 * @returns a function that takes the tap off again.
 */
export function tapContextManager(manager: ContextManager, recorder: SliceRecorder): () => void {
  const storage = (manager as TappableManager)._asyncLocalStorage;
  return storage instanceof AsyncLocalStorage
    ? tapStorage(storage as unknown as Storage, recorder)
    : tapManager(manager as TappableManager, recorder);
}

/**
 * OpenTelemetry's own manager, and those derived from it, go through one AsyncLocalStorage for `with`, `bind` and
 * `attach`. Tapped at `enterWith`, a leaf: no frame of ours stands on the stack while the application's code runs,
 * so nested `with` overflows no earlier than without us.
 */
function tapStorage(storage: Storage, recorder: SliceRecorder): () => void {
  const enterWith = storage.enterWith;
  const untapEnterWith = patchMethod(storage, 'enterWith', function (this: Storage, store: Store, isScoped?: boolean) {
    enterWith.call(this, store);
    recorder.enterContext(store, isScoped);
  });
  // Where Node keeps the store is its own affair and has changed within a major version: asked, never assumed.
  const key = keepsStoreOnResource() ? storage.kResourceStore : undefined;
  const run = key === undefined ? runByEnterWith : runOnResource(key, recorder);
  const untapRun = runGoesThroughEnterWith() ? undefined : patchMethod(storage, 'run', run);
  recorder.activeContext = () => storage.getStore();
  recorder.contextOf = key === undefined ? recorder.activeContext : (resource) => storeOf(storage, key, resource);
  return () => {
    untapEnterWith();
    untapRun?.();
    recorder.activeContext = noStore;
    recorder.contextOf = noStore;
  };
}

/** From Node.js 24 on, with AsyncContextFrame, `AsyncLocalStorage#run` calls `this.enterWith` before and after the callback. */
function runGoesThroughEnterWith(): boolean {
  const probe = new AsyncLocalStorage<number>();
  let calls = 0;
  probe.enterWith = () => {
    calls++;
  };
  probe.run(1, () => {});
  probe.disable();
  return calls === 2;
}

/** Node.js 20 and 22 write the store straight on the current resource, under a symbol of the storage's. */
function keepsStoreOnResource(): boolean {
  const probe = new AsyncLocalStorage<object>();
  const key = (probe as unknown as Storage).kResourceStore;
  if (typeof key !== 'symbol') return false;
  const store = {};
  const kept = probe.run(store, () => (executionAsyncResource() as Record<symbol, unknown>)[key] === store);
  probe.disable();
  return kept;
}

/**
 * What `getStore` does without AsyncContextFrame, for a resource that is at hand. There it is code that all storages and
 * all kinds of resources of the process share, so that V8 caches nothing; here promises have a look-up to themselves.
 */
function storeOf(storage: Storage, key: symbol, resource: object): Store {
  if (!storage.enabled) return undefined;
  const stores = resource as Record<symbol, Store>;
  return resource instanceof Promise ? stores[key] : stores[key];
}

/**
 * `run` as Node.js has it with AsyncContextFrame, for the versions whose own does not go through `enterWith`: with no
 * frame more than theirs, so that nested `with` overflows no earlier.
 */
function runByEnterWith(this: Storage, store: Store, callback: AnyFunction, ...args: unknown[]): unknown {
  const outer = this.getStore();
  if (outer === store) return apply(callback, null, args);
  this.enterWith(store, true);
  try {
    return apply(callback, null, args);
  } finally {
    this.enterWith(outer, true);
  }
}

/** The same where the store is kept on the current resource, which is then asked for once and not three times. */
function runOnResource(key: symbol, recorder: SliceRecorder): Storage['run'] {
  return function run(this: Storage, store: Store, callback: AnyFunction, ...args: unknown[]): unknown {
    const resource = executionAsyncResource() as Record<symbol, Store>;
    const outer = this.enabled ? resource[key] : undefined;
    if (outer === store) return apply(callback, null, args);
    if (this.enabled) {
      resource[key] = store;
      recorder.enterContext(store, true);
    } else {
      this.enterWith(store, true);
    }
    try {
      return apply(callback, null, args);
    } finally {
      resource[key] = outer;
      recorder.enterContext(outer, true);
    }
  };
}

/** Any other manager: it can only be tapped around `with`, which `bind` goes through as well. */
function tapManager(manager: TappableManager, recorder: SliceRecorder): () => void {
  const untaps: (() => void)[] = [];
  const original = manager.with as (...args: unknown[]) => unknown;
  untaps.push(
    patchMethod(
      manager,
      'with',
      function (this: ContextManager, context: Context, fn: AnyFunction, thisArg?: unknown, ...args: unknown[]) {
        const entered = function (this: unknown, ...fnArgs: unknown[]): unknown {
          recorder.resync();
          return fn.apply(this, fnArgs);
        };
        try {
          return original.call(this, context, entered, thisArg, ...args);
        } finally {
          recorder.resync();
        }
      },
    ),
  );
  const attach = manager.attach;
  if (typeof attach === 'function') {
    untaps.push(
      patchMethod(manager, 'attach', function (this: ContextManager, context: Context) {
        const token = attach.call(this, context);
        recorder.resync();
        const dispose = token.dispose;
        patchMethod(token, 'dispose', function (this: Token) {
          dispose.call(this);
          recorder.resync();
        });
        return token;
      }),
    );
  }
  recorder.activeContext = () => {
    const context: Context | undefined = manager.active();
    return typeof context?.getValue === 'function' ? context : undefined;
  };
  recorder.contextOf = recorder.activeContext;
  return () => {
    for (const untap of untaps) untap();
    recorder.activeContext = noStore;
    recorder.contextOf = noStore;
  };
}

/**
 * With AsyncContextFrame, `AsyncResource#runInAsyncScope` (so also `AsyncResource.bind`, `AsyncLocalStorage.bind` and
 * `snapshot`, and every pool and limiter built on them) fires `before` ahead of restoring its own context and no hook
 * afterwards: without this tap a callback of one request that another request runs is charged to the latter. Elsewhere
 * only the return from it has to be seen.
 */
export function tapAsyncResource(recorder: SliceRecorder): () => void {
  const original = AsyncResource.prototype.runInAsyncScope as AnyFunction;
  // `this` is the receiver that the caller asked for: passed through, so that no closure is needed.
  function entered(this: unknown, fn: AnyFunction, ...args: unknown[]): unknown {
    recorder.resync();
    return Reflect.apply(fn, this, args);
  }
  return patchMethod(
    AsyncResource.prototype,
    'runInAsyncScope',
    function runInAsyncScope(this: AsyncResource, fn: AnyFunction, thisArg?: unknown, ...args: unknown[]): unknown {
      if (!recorder.enabled) return original.call(this, fn, thisArg, ...args);
      try {
        return HAS_ASYNC_CONTEXT_FRAME
          ? original.call(this, entered, thisArg, fn, ...args)
          : original.call(this, fn, thisArg, ...args);
      } finally {
        recorder.resync();
      }
    },
  );
}

function noStore(): undefined {
  return undefined;
}
