// SPDX-License-Identifier: Apache-2.0
import { AsyncResource } from 'node:async_hooks';
import { ChildProcess } from 'node:child_process';
import { Socket as DatagramSocket } from 'node:dgram';
import { Socket } from 'node:net';
import { MessagePort } from 'node:worker_threads';
import type { Context } from '@opentelemetry/api';
import { spanOf } from '../otel/span-of.js';
import type { Override } from '../recorder/overridden-context.js';
import type { SliceRecorder } from '../recorder/recorder.js';
import { Tally } from '../recorder/span-time.js';
import { classNameOf, readOff } from '../system/foreign.js';
import { patchMethod } from '../system/patch.js';
import { CHILD, CONNECTION, callbackKindOf, SHARED, UNSEEN, type UseKind, useKindOf } from './handle-kinds.js';

/** The parts of a socket that are not in its types: its handle, and the server that accepted it. */
interface SocketInternals {
  _handle?: object | null;
  server?: unknown;
}

const NOBODY = new Tally(undefined);

class Use implements Override {
  context!: Context;
  user: Context | undefined;
  tally = NOBODY;
  /** Who sent last. */
  private _sender: Context | undefined;
  private _hasSent = false;
  /** Whether something came back since. */
  private _isAnswered = false;
  /** Whether several have sent before an answer came: then nobody can tell whose answer it is. */
  private _isShared = false;
  /** Whether anybody but who made it may have sent. */
  private _hasOthers = false;

  constructor(private readonly _kind: UseKind) {}

  /** `sender` is undefined where nobody can tell. */
  noteSent(sender: Context | undefined): void {
    if (this._hasSent && !isSame(this._sender, sender)) {
      this._hasOthers = true;
      if (!this._isAnswered) this._isShared = true;
    }
    if (sender === undefined) this._hasOthers = true;
    this._hasSent = true;
    this._sender = sender;
    this._isAnswered = false;
  }

  /** It calls back in `maker`. @returns whether that is not to be believed. */
  answers(maker: Context): boolean {
    this._isAnswered = true;
    this.context = maker;
    const { isMakersAtFirst, canBeMakersOwn } = this._kind;
    if (!this._hasSent && isMakersAtFirst && !canBeMakersOwn) return false;
    const isMakers = this._hasSent ? isSame(this._sender, maker) : isMakersAtFirst;
    if (this._isShared) this.user = undefined;
    else if (!isMakers) this.user = this._sender;
    else this.user = canBeMakersOwn && !this._hasOthers && isOpen(maker) ? maker : undefined;
    return true;
  }
}

/**
 * Keeps a handle that lives long from accusing who made it: a pooled connection, a worker, a child process calls back in
 * the context in which it was made, perhaps for another request, hours ago. So the context of the last who sent something
 * is noted, and what comes back next is charged to it: right wherever one request uses it at a time (pg, mysql, HTTP/1.1
 * keep-alive, a pool of workers). Where several have sent before an answer came (pipelining, multiplexing) nobody can
 * tell whose answer it is, and nobody is charged: the continuations of the callers run in contexts of their own anyway.
 * Nor is anybody where nobody sends: a watched file changes for no request.
 *
 * @param sawAll whether it is on from the start. Else others may have sent before, and what comes back is nobody's until it
 * is known who asked.
 * @returns a function that takes the tap off again.
 */
export function tapHandles(recorder: SliceRecorder, sawAll: boolean): () => void {
  const uses = new WeakMap<object, Use>();
  /** By prototype: to ask a foreign object for its class can run code of the application's. */
  const kinds = new WeakMap<object, UseKind | undefined>();
  const untaps: (() => void)[] = [];

  function newUse(handle: object, kind: UseKind): Use {
    const use = new Use(sawAll ? kind : UNSEEN);
    if (!sawAll) use.noteSent(undefined);
    uses.set(handle, use);
    return use;
  }

  function noteSent(handle: object | null | undefined, kind: UseKind): void {
    if (handle == null) return;
    const use = uses.get(handle) ?? newUse(handle, kind);
    const sender = recorder.activeContext();
    // A library's queue goes on under who made the handle, whosever turn it is: in its callbacks nobody can tell.
    use.noteSent(sender === recorder.override?.context ? undefined : sender);
  }

  /** Calls `note` ahead of each call of `target[name]`. */
  function tap<T extends object>(target: T, name: keyof T & string, note: (self: T) => void): void {
    const original = target[name] as AnyFunction;
    const replacement = {
      tapped(this: T): unknown {
        if (this != null && recorder.enabled) note(this);
        // biome-ignore lint/complexity/noArguments: passes on every overload without an array
        return Reflect.apply(original, this, arguments);
      },
    }.tapped;
    untaps.push(patchMethod(target, name, replacement));
  }

  tap(Socket.prototype as Socket & SocketInternals, 'write', (socket) => {
    if (socket.server == null) noteSent(socket._handle, CONNECTION);
  });
  tap(MessagePort.prototype, 'postMessage', (port) => noteSent(port, SHARED));
  tap(DatagramSocket.prototype, 'send', (socket) => noteSent(handleOf(socket), SHARED));

  const spawn = (ChildProcess.prototype as unknown as Spawner).spawn;
  untaps.push(
    patchMethod(
      ChildProcess.prototype as unknown as Spawner,
      'spawn',
      {
        spawn(this: Spawner, options: SpawnOptions) {
          // biome-ignore lint/complexity/noArguments: passes on whatever spawn takes, without an array
          const result = Reflect.apply(spawn, this, arguments);
          if (recorder.enabled) followChild(options);
          return result;
        },
      }.spawn,
    ),
  );

  /** All that a child process is talked to by has one use: who writes to its input reads its output. */
  function followChild(options: SpawnOptions | undefined): void {
    // Node.js has put the handles there.
    const stdio = options?.stdio;
    if (!Array.isArray(stdio)) return;
    const use = new Use(CHILD);
    for (const entry of stdio as ({ handle?: object; ipc?: boolean } | null)[]) {
      const { handle, ipc } = entry ?? {};
      if (typeof handle !== 'object' || handle === null) continue;
      uses.set(handle, use);
      if (!ipc) continue;
      channels.add(handle);
      tapChannels(Object.getPrototypeOf(handle) as Channel);
    }
  }

  const channels = new WeakSet<object>();
  let areChannelsTapped = false;
  function tapChannels(prototype: Channel): void {
    if (areChannelsTapped) return;
    areChannelsTapped = true;
    // As 'json' and as 'advanced' serialization write; to any other pipe streams do, and are noted there.
    for (const name of ['writeUtf8String', 'writeBuffer'] as const) {
      tap(prototype, name, (handle) => {
        if (channels.has(handle)) noteSent(handle, CHILD);
      });
    }
  }

  /** Once for each class of resources. */
  function learn(resource: object, prototype: object): UseKind | undefined {
    const kind = resource instanceof AsyncResource ? undefined : useKindOf(prototype);
    kinds.set(prototype, kind);
    // Only from now on can be seen who asks; what is answered sooner is nobody's.
    if (kind === SHARED && classNameOf(prototype) === 'Http2Session') {
      tap(prototype as { request: AnyFunction }, 'request', (handle) => noteSent(handle, SHARED));
    }
    return kind;
  }

  const overrideOf = (resource: object, context: Context): Override | undefined => {
    if (typeof resource !== 'object' || resource === null) return undefined;
    const prototype = Object.getPrototypeOf(resource) as object | null;
    if (prototype === null) return undefined;
    const kind = kinds.get(prototype) ?? (kinds.has(prototype) ? undefined : learn(resource, prototype));
    if (kind === undefined) return undefined;
    let use = uses.get(resource);
    if (use === undefined) {
      if (kind.isMakersAtFirst && sawAll) return undefined;
      use = newUse(resource, kind);
    }
    return use.answers(context) ? use : undefined;
  };
  recorder.followHandles({ overrideOf, kindOf: callbackKindOf });

  return () => {
    for (const untap of untaps.reverse()) untap();
    recorder.followHandles(undefined);
  };
}

type AnyFunction = (...args: unknown[]) => unknown;

interface SpawnOptions {
  readonly stdio?: unknown;
}

interface Spawner {
  spawn(options: SpawnOptions): unknown;
}

interface Channel {
  writeUtf8String: AnyFunction;
  writeBuffer: AnyFunction;
}

/** The handle of a datagram socket, which Node.js keeps under a symbol of its own. */
function handleOf(socket: object): object | undefined {
  for (const symbol of Object.getOwnPropertySymbols(socket)) {
    const state = (socket as Record<symbol, { handle?: unknown } | null | undefined>)[symbol];
    if (typeof state?.handle === 'object' && state.handle !== null) return state.handle;
  }
  return undefined;
}

/** Whether both are of one span: an application makes new contexts for one all the time. */
function isSame(a: Context | undefined, b: Context | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && spanOf(a) === spanOf(b));
}

/** A span that has ended waits for nothing. */
function isOpen(context: Context): boolean {
  return readOff(context, isRecording, false);
}

function isRecording(context: Context): boolean {
  return spanOf(context)?.isRecording() === true;
}
