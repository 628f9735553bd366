// SPDX-License-Identifier: Apache-2.0
import { Socket } from 'node:net';
import type { Context } from '@opentelemetry/api';
import type { ConnectionUse, SliceRecorder } from '../recorder/recorder.js';
import { patchMethod } from '../system/patch.js';

/** The parts of a socket that are not in its types: its handle, and the server that accepted it. */
interface SocketInternals {
  _handle?: object | null;
  server?: unknown;
}

interface Use extends ConnectionUse {
  /** Whether something was read since the last write. */
  answered: boolean;
}

/**
 * Keeps a pooled connection from accusing its creator: whatever is read on a socket runs in the context in which the
 * socket was opened, perhaps for another request, hours ago. So the context of the last write is noted, and what the
 * connection reads next is charged to it: right wherever one request uses a connection at a time (pg, mysql, HTTP/1.1
 * keep-alive). Where several contexts have written before an answer came (pipelining, multiplexing) nobody can tell
 * whose answer it is, and nobody is charged: the continuations of the callers run in contexts of their own anyway.
 *
 * @returns a function that takes the tap off again.
 */
export function tapConnections(recorder: SliceRecorder): () => void {
  const uses = new WeakMap<object, Use>();
  const original = Socket.prototype.write as (...args: unknown[]) => boolean;

  const untap = patchMethod(
    Socket.prototype,
    'write',
    {
      write(this: Socket & SocketInternals) {
        const handle = this?._handle;
        if (handle != null && this.server == null && recorder.enabled) noteWrite(handle, recorder.activeContext());
        // biome-ignore lint/complexity/noArguments: passes on every overload of write without an array
        return Reflect.apply(original, this, arguments);
      },
    }.write,
  );

  function noteWrite(handle: object, context: Context | undefined): void {
    const use = uses.get(handle);
    if (use === undefined) {
      uses.set(handle, { context, shared: false, answered: false });
      return;
    }
    if (use.context !== context) {
      if (!use.answered) use.shared = true;
      use.context = context;
    }
    use.answered = false;
  }

  recorder.connectionUse = (resource) => {
    const use = uses.get(resource);
    if (use !== undefined) use.answered = true;
    return use;
  };

  return () => {
    untap();
    recorder.connectionUse = () => undefined;
  };
}
