// SPDX-License-Identifier: Apache-2.0
import { toPath } from './to-path.js';

/** The stack below the caller of `below`, at most `limit` frames. Leaves everything as it was. */
export function callSites(below: (...args: never[]) => unknown, limit: number): NodeJS.CallSite[] {
  const oldLimit = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit');
  const prepare = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace');
  let sites: unknown;
  try {
    Object.defineProperty(Error, 'stackTraceLimit', { value: limit, configurable: true, writable: true });
    Object.defineProperty(Error, 'prepareStackTrace', {
      value: (_error: Error, found: NodeJS.CallSite[]) => found,
      configurable: true,
      writable: true,
    });
    const holder: { stack?: unknown } = {};
    Error.captureStackTrace(holder, below);
    sites = holder.stack;
  } catch {
    // A frozen Error (--frozen-intrinsics): no stack, but the block is reported all the same.
  } finally {
    restore('stackTraceLimit', oldLimit);
    restore('prepareStackTrace', prepare);
  }
  return Array.isArray(sites) ? sites : [];
}

function restore(key: string, descriptor: PropertyDescriptor | undefined): void {
  try {
    if (descriptor) Object.defineProperty(Error, key, descriptor);
    else Reflect.deleteProperty(Error, key);
  } catch {
    // Then it could not be changed before either.
  }
}

/** Absolute path, or what the module was loaded as. */
export function fileOf(site: NodeJS.CallSite): string {
  return toPath(site.getFileName() ?? '');
}
