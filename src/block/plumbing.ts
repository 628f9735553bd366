// SPDX-License-Identifier: Apache-2.0
import type { FrameRole } from '../model.js';
import type { StackFrame } from '../types.js';

/**
 * Tells code that blocks from code that only passes calls on: whoever stands in for `require`, makes a context active or
 * starts a span is on the stack of nearly everything, and is never what took the time.
 */

/** Node.js's own loader of modules. */
const LOADER = /^node:internal\/modules\//;
/** Its frames that call the code of a module; what all others call stands in for one of themselves. */
const CALLS_MODULE =
  /^(?:async )?(?:(?:Module\.)?_compile|(?:ModuleJob(?:Sync)?\.)?run(?:Sync)?|ModuleWrap\.<anonymous>) /;
/** What compiles a script, for whoever loads modules with it. */
const COMPILER = /^(?:new Script|(?:Object\.)?compileFunction) \(node:vm:/;

/**
 * The loaders of test runners and development servers: files, and in them the methods that load. All else in there runs
 * tests, or calls back (timers of jest's).
 */
const RUNNER_FILES =
  /[/\\]node_modules[/\\](?:jest-runtime[/\\]build|vite-node[/\\]dist|vite[/\\]dist[/\\]node[/\\]module-runner|vitest[/\\]dist)[/\\.]/;
const RUNNER_METHODS =
  /^(?:async )?(?:(?:_?Runtime|(?:Vitest)?ModuleRunner|(?:Vitest|ES)Modules?Evaluator|ViteNodeRunner|VitestExecutor|(?:ExternalModules|Commonjs|Esm|Vite)Executor)\.\S+|_?runInlinedModule|runModule|directRequest|cachedRequest|_(?:load|exec)Module|require(?:Internal)?Module(?:OrMock)?|transformFile) /;
const RUNNER_CALLS_MODULE =
  /^(?:async )?(?:(?:_?Runtime\.)?_execModule|(?:(?:Vitest|ES)Modules?Evaluator\.)?_?runInlinedModule|(?:(?:ViteNodeRunner|VitestExecutor)\.)?runModule|(?:Commonjs|Esm)Executor\.\S+) /;

const FOLDERS =
  /[/\\]node_modules[/\\](?:require-in-the-middle|import-in-the-middle|shimmer|v8-compile-cache|pirates|@opentelemetry[/\\](?:api|context-[^/\\]+|instrumentation(?:-[^/\\]+)?))[/\\]/;
/** Bundled they have no folder of their own; minified, not even a name. */
const NAMES =
  /^(?:_*(?:ContextAPI|AsyncLocalStorageContextManager|AsyncHooksContextManager|NoopContextManager)\d*\.\w+|_*(?:Noop|Proxy)?Tracer\d*\.startActiveSpan|(?:[\w$]+\.)*patchedRequire\d*|(?:\w+\.)?__(?:require\d*|webpack_require__|turbopack_require__|commonJS\w*))(?: \[as .*?\])? \(/;

const LIBRARY = /[/\\]node_modules[/\\]/;

export function roleOf(text: string, filePath: string): FrameRole {
  if (LOADER.test(filePath)) return CALLS_MODULE.test(text) ? 'module caller' : 'loader';
  if (filePath === 'node:vm' && COMPILER.test(text)) return 'loader';
  if (RUNNER_METHODS.test(text) && RUNNER_FILES.test(filePath)) {
    return RUNNER_CALLS_MODULE.test(text) ? 'module caller' : 'loader';
  }
  if (filePath === '' || filePath.startsWith('node:')) return 'internal';
  return FOLDERS.test(filePath) || NAMES.test(text) ? 'plumbing' : 'code';
}

/** `module`: what a module does as it is loaded. */
type Kind = 'loader' | 'internal' | 'plumbing' | 'module' | 'code';

type Frame = StackFrame & { readonly role?: FrameRole; readonly isPlumbing?: boolean };

/** What each frame of `stack` is, whose first is the innermost. */
function kindsOf(stack: readonly Frame[]): Kind[] {
  const kinds: Kind[] = new Array(stack.length);
  let within: 'code' | 'loader' | 'compiled' = 'code';
  for (let i = stack.length - 1; i >= 0; i--) {
    const { text, filePath, role = roleOf(text, filePath), isPlumbing } = stack[i] as Frame;
    if (role === 'loader' || role === 'module caller') {
      kinds[i] = 'loader';
      within = role === 'loader' ? 'loader' : 'compiled';
    } else if (role === 'internal') {
      kinds[i] = 'internal';
    } else if (within === 'compiled') {
      kinds[i] = 'module';
      within = 'code';
    } else {
      kinds[i] = within === 'loader' || role === 'plumbing' || isPlumbing ? 'plumbing' : 'code';
    }
  }
  return kinds;
}

/**
 * Whether a module is being loaded: a loader is on the stack. Where it only awaits what runs it is not, unless it is that of
 * a runner, which calls each module as an async function.
 */
export function isLoading(stack: readonly Frame[]): boolean {
  return stack.some(({ text, filePath, role = roleOf(text, filePath) }) => {
    if (role !== 'loader' && role !== 'module caller') return false;
    return !text.startsWith('async ') || !LOADER.test(filePath);
  });
}

/** Marks in `stack` the plumbing, and whoever was waiting for a module: see {@link StackFrame.loadedModule}. */
export function markLoading<F extends Frame>(stack: readonly F[]): F[] {
  const kinds = kindsOf(stack);
  let isLoading = false;
  let loadedModule = '';
  return stack.map((frame, i) => {
    const kind = kinds[i];
    if (kind === 'plumbing') return { ...frame, isPlumbing: true };
    if (kind === 'loader') isLoading = true;
    if (kind !== 'module' && kind !== 'code') return frame;
    const marked = isLoading ? { ...frame, loadedModule } : frame;
    isLoading = false;
    loadedModule = kind === 'module' ? frame.filePath : '';
    return marked;
  });
}

/**
 * `stack` from the first frame on that can be the culprit. Where it is what a module of a library does as it is loaded,
 * that is the code which requires it: the application's own, if any is there.
 */
export function outOfPlumbing<F extends Frame>(stack: readonly F[]): readonly F[] {
  const kinds = kindsOf(stack);
  let requirer = -1;
  for (const [i, frame] of stack.entries()) {
    const kind = kinds[i];
    if (kind !== 'code' && kind !== 'module') continue;
    if (kind === 'code' || !LIBRARY.test(frame.filePath)) return stack.slice(i);
    if (requirer < 0 && frame.loadedModule !== undefined) requirer = i;
  }
  const first = kinds.findIndex((kind) => kind === 'code' || kind === 'module');
  return stack.slice(requirer < 0 ? Math.max(first, 0) : requirer);
}
