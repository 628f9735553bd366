// SPDX-License-Identifier: Apache-2.0
import { AsyncLocalStorage, AsyncResource, executionAsyncResource } from 'node:async_hooks';
import type { Context, ContextManager } from '@opentelemetry/api';
import type { SliceRecorder } from '../recorder/recorder.js';
import { patchMethod } from '../system/patch.js';
import { HAS_ASYNC_CONTEXT_FRAME } from '../system/promise-hooks.js';

/** Looked up once: each register that `run` needs less lets the application nest it deeper. */
const apply = Reflect.apply;

type Store = Context | undefined;
type AnyFunction = (...args: unknown[]) => unknown;

interface Storage {
  /** Without AsyncContextFrame: where a resource keeps the store, and whether that counts. */
  readonly kResourceStore?: symbol;
  readonly enabled?: boolean;
  getStore(): Store;
  enterWith(store: Store): void;
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
    ? tapStorage(storage as unknown as Storage, manager as TappableManager, recorder)
    : tapManager(manager as TappableManager, recorder);
}

/**
 * OpenTelemetry's own manager, and those derived from it, go through one AsyncLocalStorage for `with`, `bind` and
 * `attach`. Tapped at `enterWith`, a leaf: no frame of ours stands on the stack while the application's code runs,
 * so nested `with` overflows no earlier than without us.
 */
function tapStorage(storage: Storage, manager: TappableManager, recorder: SliceRecorder): () => void {
  const enterWith = storage.enterWith;
  const untapEnterWith = patchMethod(
    storage,
    'enterWith',
    {
      enterWith(this: Storage, store: Store): unknown {
        // biome-ignore lint/complexity/noArguments: passes on whatever another's wrap takes, without an array
        const result = apply(enterWith, this, arguments);
        recorder.enterContext(store);
        return result;
      },
    }.enterWith,
  );
  // Where Node keeps the store is its own affair and has changed within a major version: asked, never assumed.
  const key = keepsStoreOnResource() ? storage.kResourceStore : undefined;
  const untapRun = patchMethod(storage, 'run', runOf(storage, key, enterWith, recorder));
  const untapAttach = tapAttach(manager, recorder);
  const active = (): Store => storage.getStore();
  recorder.followContexts({ active, of: key === undefined ? active : (resource) => storeOf(storage, key, resource) });
  return () => {
    untapEnterWith();
    untapRun();
    untapAttach();
    recorder.followContexts(undefined);
  };
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

function runOf(
  storage: Storage,
  key: symbol | undefined,
  enterWith: Storage['enterWith'],
  recorder: SliceRecorder,
): AnyFunction {
  const { run } = storage;
  if (!isNodes(run as AnyFunction)) return around(run as AnyFunction, 1, recorder);
  const result = key === undefined ? runByEnterWith(enterWith, recorder) : runOnResource(key, recorder);
  return result as AnyFunction;
}

/** Whether it is Node.js's own code, which calls through copies of the built-in functions: no wrap, no subclass. */
function isNodes(method: AnyFunction): boolean {
  return /\bReflectApply\(/.test(Function.prototype.toString.call(method));
}

/**
 * Replaces a method that runs a callback in another context, the argument at `index`, and that may look at what it is
 * given: a proxy has the name, the length and all else of the function.
 */
function around(original: AnyFunction, index: number, recorder: SliceRecorder): AnyFunction {
  const entering: ProxyHandler<AnyFunction> = {
    apply(callback, thisArg, args) {
      recorder.resync();
      return apply(callback, thisArg, args);
    },
  };
  return {
    around(this: unknown): unknown {
      // biome-ignore-start lint/complexity/noArguments: passes on whatever the method takes, without an array
      if (!recorder.enabled) return apply(original, this, arguments);
      const callback = arguments[index];
      if (typeof callback === 'function') arguments[index] = new Proxy(callback, entering);
      const { override, scopes } = recorder;
      try {
        return apply(original, this, arguments);
      } finally {
        recorder.restore(override, scopes);
      }
      // biome-ignore-end lint/complexity/noArguments: until here
    },
  }.around;
}

/**
 * `run` as Node.js has it with AsyncContextFrame, with no frame more than its own and no register more than it takes, so
 * that nested `with` overflows no earlier. In the callback of a handle, whose context is not believed, to run in that very
 * context is a change as well.
 */
function runByEnterWith(enterWith: Storage['enterWith'], recorder: SliceRecorder): Storage['run'] {
  return {
    run(this: Storage, store: Store, callback: AnyFunction, ...args: unknown[]): unknown {
      const outer = this.getStore();
      if (Object.is(outer, store) && recorder.override === undefined) return apply(callback, null, args);
      enterWith.call(this, store);
      recorder.enterScope(store);
      try {
        return apply(callback, null, args);
      } finally {
        enterWith.call(this, outer);
        recorder.leaveScope(outer);
      }
    },
  }.run;
}

/** The same where the store is kept on the current resource, which is then asked for once and not three times. */
function runOnResource(key: symbol, recorder: SliceRecorder): Storage['run'] {
  return {
    run(this: Storage, store: Store, callback: AnyFunction, ...args: unknown[]): unknown {
      const resource = executionAsyncResource() as Record<symbol, Store>;
      const outer = this.enabled ? resource[key] : undefined;
      if (Object.is(outer, store) && recorder.override === undefined) return apply(callback, null, args);
      if (this.enabled) {
        resource[key] = store;
        recorder.enterScope(store);
      } else {
        this.enterWith(store);
      }
      try {
        return apply(callback, null, args);
      } finally {
        resource[key] = outer;
        recorder.leaveScope(outer);
      }
    },
  }.run;
}

/** Any other manager: it can only be tapped around `with`, which `bind` goes through as well. */
function tapManager(manager: TappableManager, recorder: SliceRecorder): () => void {
  const untapWith = patchMethod(manager, 'with', around(manager.with as AnyFunction, 1, recorder));
  const untapAttach = tapAttach(manager, recorder);
  const active = (): Store => {
    // Asked in async hooks, where a throw ends the process.
    try {
      const context: Context | undefined = manager.active();
      return typeof context?.getValue === 'function' ? context : undefined;
    } catch {
      return undefined;
    }
  };
  recorder.followContexts({ active, of: active });
  return () => {
    untapWith();
    untapAttach();
    recorder.followContexts(undefined);
  };
}

/** A context that is attached is entered as well; what was before comes back where its token is disposed of. */
function tapAttach(manager: TappableManager, recorder: SliceRecorder): () => void {
  const attach = manager.attach as AnyFunction | undefined;
  return patchMethod(
    manager,
    'attach',
    {
      attach(this: ContextManager): unknown {
        const { override, scopes, job } = recorder;
        // biome-ignore lint/complexity/noArguments: passes on whatever this manager takes, without an array
        const token = apply(attach as AnyFunction, this, arguments);
        if (recorder.enabled) {
          recorder.resync();
          if (typeof token === 'object' && token !== null) {
            // In another callback nothing of this one is in force.
            tapToken(token as Token, recorder, () => {
              recorder.restore(job === recorder.job ? override : undefined, scopes);
            });
          }
        }
        return token;
      },
    }.attach,
  );
}

/** Each token is told apart by who made it: its own `dispose` is followed, and not that of its class. */
function tapToken(token: Token, recorder: SliceRecorder, onDisposed: () => void): void {
  const original = token.dispose as AnyFunction;
  patchMethod(
    token,
    'dispose',
    {
      dispose(this: Token): unknown {
        try {
          // biome-ignore lint/complexity/noArguments: passes on whatever this token takes, without an array
          return apply(original, this, arguments);
        } finally {
          if (recorder.enabled) onDisposed();
        }
      },
    }.dispose,
  );
}

/**
 * With AsyncContextFrame, `AsyncResource#runInAsyncScope` (so also `AsyncResource.bind`, `AsyncLocalStorage.bind` and
 * `snapshot`, and every pool and limiter built on them) fires `before` ahead of restoring its own context and no hook
 * afterwards: without this tap a callback of one request that another request runs is charged to the latter. Elsewhere
 * only the return from it has to be seen.
 */
export function tapAsyncResource(recorder: SliceRecorder): () => void {
  const original = AsyncResource.prototype.runInAsyncScope as AnyFunction;
  if (!isNodes(original)) {
    return patchMethod(AsyncResource.prototype, 'runInAsyncScope', around(original, 0, recorder));
  }
  // `this` is the receiver that the caller asked for: passed through, so that no closure is needed.
  function entered(this: unknown, fn: AnyFunction, ...args: unknown[]): unknown {
    recorder.resync();
    return apply(fn, this, args);
  }
  return patchMethod(
    AsyncResource.prototype,
    'runInAsyncScope',
    {
      runInAsyncScope(this: AsyncResource, fn: AnyFunction, thisArg?: unknown, ...args: unknown[]): unknown {
        // biome-ignore lint/complexity/noArguments: passes on whatever another's wrap takes
        if (!recorder.enabled) return apply(original, this, arguments);
        const { override, scopes } = recorder;
        try {
          return HAS_ASYNC_CONTEXT_FRAME
            ? original.call(this, entered, thisArg, fn, ...args)
            : original.call(this, fn, thisArg, ...args);
        } finally {
          recorder.restore(override, scopes);
        }
      },
    }.runInAsyncScope,
  );
}
