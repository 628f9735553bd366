// SPDX-License-Identifier: Apache-2.0
import { AsyncResource } from 'node:async_hooks';
import { ChildProcess } from 'node:child_process';
import { Socket as DatagramSocket } from 'node:dgram';
import { Socket } from 'node:net';
import process from 'node:process';
import { MessagePort, Worker } from 'node:worker_threads';
import type { Context } from '@opentelemetry/api';
import { startOf } from '../otel/span-facts.js';
import { spanOf } from '../otel/span-of.js';
import type { Override } from '../recorder/overridden-context.js';
import type { SliceRecorder } from '../recorder/recorder.js';
import { Tally } from '../recorder/span-time.js';
import { classNameOf, readOff } from '../system/foreign.js';
import { patchMethod } from '../system/patch.js';
import { currentResource, isTick } from './current-resource.js';
import { CONNECTION, callbackKindOf, isListening, PRIVATE, SHARED, type UseKind, useKindOf } from './handle-kinds.js';

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
  /** How many bytes had come when somebody last sent; undefined where that is not counted. */
  private _bytesRead: number | undefined;
  /** Whose it is, where that is known. */
  maker: Context | undefined;

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

  /** The same while nothing is followed, so that no answer is seen: where bytes have come meanwhile, there was one. */
  noteSentUnseen(sender: Context | undefined, bytesRead: number | undefined): void {
    if (bytesRead !== this._bytesRead) this._isAnswered = true;
    this._bytesRead = bytesRead;
    this.noteSent(sender);
  }

  isSender(context: Context): boolean {
    return this._hasSent && !this._isShared && isSame(this._sender, context);
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
 * It costs next to nothing, and stays on while the recorder is off: who has asked is to be known when the answer blocks.
 *
 * @returns a function that takes the tap off again.
 */
export function tapHandles(recorder: SliceRecorder): () => void {
  const uses = new WeakMap<object, Use>();
  /** Spans under which connections were made, or channels. */
  const makers = new WeakSet<object>();
  /** By prototype: to ask a foreign object for its class can run code of the application's. */
  const kinds = new WeakMap<object, UseKind | undefined>();
  const untaps: (() => void)[] = [];

  let isOn = true;

  function useOf(handle: object, kind: UseKind): Use {
    let use = uses.get(handle);
    if (use === undefined) {
      use = new Use(kind);
      uses.set(handle, use);
    }
    return use;
  }

  function noteSent(handle: object | null | undefined, kind: UseKind): void {
    if (typeof handle !== 'object' || handle === null) return;
    const use = useOf(handle, kind);
    const sender = recorder.activeContext();
    // A library's queue goes on under who made the handle, whosever turn it is: in its callbacks nobody can tell.
    if (recorder.enabled) use.noteSent(sender === recorder.override?.context ? undefined : sender);
    else use.noteSentUnseen(isHandlesOwn(sender) ? undefined : sender, (handle as { bytesRead?: number }).bytesRead);
  }

  /** While nothing is followed: whether `context` may be that of the handle whose callback runs. */
  function isHandlesOwn(context: Context | undefined): boolean {
    const resource = currentResource();
    if (kindOf(resource) === undefined) return false;
    const maker = uses.get(resource)?.maker;
    return maker === undefined || isSame(context, maker);
  }

  function noteMaker(handle: object | null | undefined): void {
    if (typeof handle !== 'object' || handle === null) return;
    useOf(handle, CONNECTION).maker = rememberMaker();
  }

  /** Ticks of its context may be those of a handle. */
  function rememberMaker(): Context | undefined {
    const maker = recorder.activeContext();
    const span = maker && readOff(maker, spanOf, undefined);
    if (span !== undefined) makers.add(span);
    return maker;
  }

  /** Calls `note` behind each call of `target[name]` that returns, with its first argument. */
  function tapAfter<T extends object>(
    target: T,
    name: keyof T & string,
    note: (self: T | undefined, first: unknown) => void,
  ): void {
    const original = target[name] as AnyFunction;
    const replacement = {
      tapped(this: T | undefined, first: unknown): unknown {
        // biome-ignore lint/complexity/noArguments: passes on every overload without an array
        const result = Reflect.apply(original, this, arguments);
        if (isOn) noteSafely(note, this, first);
        return result;
      },
    }.tapped;
    untaps.push(patchMethod(target, name, replacement));
  }

  /** Calls `note` ahead of each call of `target[name]`, with its first argument. */
  function tap<T extends object>(target: T, name: keyof T & string, note: (self: T, first: unknown) => void): void {
    const original = target[name] as AnyFunction;
    const replacement = {
      tapped(this: T, first: unknown): unknown {
        if (isOn) noteSafely(note, this, first);
        // biome-ignore lint/complexity/noArguments: passes on every overload without an array
        return Reflect.apply(original, this, arguments);
      },
    }.tapped;
    untaps.push(patchMethod(target, name, replacement));
  }

  const noteWritten = (socket: SocketInternals): void => {
    if (socket.server == null) noteSent(socket._handle, CONNECTION);
  };
  tap(Socket.prototype as Socket & SocketInternals, 'write', noteWritten);
  // What is written last goes past `write`.
  tap(Socket.prototype as Socket & SocketInternals, 'end', (socket, chunk) => {
    if (isChunk(chunk)) noteWritten(socket);
  });
  tapAfter(Socket.prototype as Socket & SocketInternals, 'connect', (socket) => noteMaker(socket?._handle));
  tap(MessagePort.prototype, 'postMessage', (port) => noteSent(port, SHARED));
  // Its output comes by another port than its messages.
  tap(Worker.prototype, 'postMessage', (worker) => {
    for (const port of portsOf(worker)) noteSent(port, SHARED);
  });
  tap(DatagramSocket.prototype, 'send', (socket) => noteSent(handleOf(socket), SHARED));

  tapAfter(ChildProcess.prototype as unknown as Spawner, 'spawn', (_child, options) =>
    followChild(options as SpawnOptions | undefined),
  );

  /** All that a child process is talked to by has one use: who writes to its input reads its output. */
  function followChild(options: SpawnOptions | undefined): void {
    // Node.js has put the handles there.
    const stdio = options?.stdio;
    if (!Array.isArray(stdio)) return;
    const use = new Use(PRIVATE);
    use.maker = recorder.activeContext();
    for (const entry of stdio as ({ handle?: object; ipc?: boolean } | null)[]) {
      const { handle, ipc } = entry ?? {};
      if (typeof handle !== 'object' || handle === null) continue;
      uses.set(handle, use);
      if (!ipc) continue;
      channels.add(handle);
      // Messages are handed out in ticks.
      rememberMaker();
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
        if (channels.has(handle)) noteSent(handle, PRIVATE);
      });
    }
  }

  let isCompressionTapped = false;
  /** Once something compresses, and not sooner: to load Node.js's module for it takes milliseconds. */
  function tapCompression(): void {
    isCompressionTapped = true;
    const streams = readOff(undefined, compressionStreams, null);
    if (streams === null) return;
    for (const name of ['write', 'end'] as const) {
      tap(streams, name, (stream, chunk) => {
        if (name === 'write' || isChunk(chunk)) noteSent(stream._handle, PRIVATE);
      });
    }
  }

  /** Once for each class of resources. */
  function learn(resource: object, prototype: object): UseKind | undefined {
    const kind = resource instanceof AsyncResource ? undefined : useKindOf(prototype);
    kinds.set(prototype, kind);
    const name = kind && classNameOf(prototype);
    // Only from now on can be seen who asks; what is answered sooner is nobody's.
    if (name === 'Http2Session') {
      tap(prototype as { request: AnyFunction }, 'request', (handle) => noteSent(handle, SHARED));
    }
    if (kind === PRIVATE && name !== undefined && !isCompressionTapped) tapCompression();
    return kind;
  }

  function kindOf(resource: object): UseKind | undefined {
    if (typeof resource !== 'object' || resource === null) return undefined;
    const prototype = Object.getPrototypeOf(resource) as object | null;
    if (prototype === null) return undefined;
    return kinds.get(prototype) ?? (kinds.has(prototype) ? undefined : learn(resource, prototype));
  }

  const overrideOf = (resource: object, context: Context): Override | undefined => {
    const kind = kindOf(resource);
    if (kind === undefined) return undefined;
    let use = uses.get(resource);
    if (use === undefined) {
      // Whoever connects to a server does so for no span of its own.
      const ownKind = kind === CONNECTION && readOff(resource, isListening, false) ? SHARED : kind;
      if (ownKind === CONNECTION) return undefined;
      use = useOf(resource, ownKind);
    }
    return use.answers(context) ? use : undefined;
  };

  function isMakers(context: Context): boolean {
    const span = readOff(context, spanOf, undefined);
    return span !== undefined && makers.has(span);
  }

  /** Where the handle's callback has begun unseen: `context` may be its maker's, or one that was entered since. */
  const overrideInMidst = (resource: object, context: Context, headMillis: number): Override | undefined => {
    // Behind the callback of a handle, perhaps.
    if (readOff(resource, isTick, false))
      return isMakers(context) && !isNew(context, headMillis) ? nobodysIn(context) : undefined;
    const use = uses.get(resource);
    if (use?.maker !== undefined) return isSame(context, use.maker) ? overrideOf(resource, context) : undefined;
    if (use?.isSender(context) || isNew(context, headMillis)) return undefined;
    const override = overrideOf(resource, context);
    // Nor need it be that of who sent last.
    if (override !== undefined) override.user = undefined;
    return override;
  };
  recorder.followHandles({ overrideOf, overrideInMidst, kindOf: callbackKindOf });

  return () => {
    isOn = false;
    for (const untap of untaps.reverse()) untap();
    recorder.followHandles(undefined);
  };
}

type AnyFunction = (...args: unknown[]) => unknown;

/** `self` can be anything that the application calls the method on. */
function noteSafely<T>(note: (self: T, first: unknown) => void, self: T, first: unknown): void {
  if (self === undefined || self === null) return;
  try {
    note(self, first);
  } catch {
    // It has accessors of its own.
  }
}

/** Not the callback that can stand in its place. */
function isChunk(first: unknown): boolean {
  return first !== undefined && first !== null && typeof first !== 'function';
}

interface CompressionStream {
  _handle?: object | null;
  write: AnyFunction;
  end: AnyFunction;
}

/** What all streams have in common that compress, or the other way round. */
function compressionStreams(): CompressionStream {
  const { Deflate } = process.getBuiltinModule('node:zlib');
  return Object.getPrototypeOf(Object.getPrototypeOf(Deflate.prototype)) as CompressionStream;
}

/** One for its messages, and one for all else. */
const ports = new WeakMap<object, MessagePort[]>();
function portsOf(worker: Worker): MessagePort[] {
  let found = ports.get(worker);
  if (found === undefined) {
    const own = Object.getOwnPropertySymbols(worker).map(
      (symbol) => (worker as unknown as Record<symbol, unknown>)[symbol],
    );
    found = own.filter((value) => value instanceof MessagePort);
    ports.set(worker, found);
  }
  return found;
}

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

/** What runs in `context` is not its time, and nobody can tell whose it is. */
function nobodysIn(context: Context): Override {
  return { context, user: undefined, tally: NOBODY };
}

/** The SDK starts its spans on whole milliseconds, rounded down. */
const START_ROUNDING_MILLIS = 1;

/** Whether its span began no longer ago than that: in the callback that runs. */
function isNew(context: Context, millis: number): boolean {
  const startedAt = startOf(readOff(context, spanOf, undefined));
  return startedAt !== undefined && startedAt >= Date.now() - millis - START_ROUNDING_MILLIS;
}

/** A span that has ended waits for nothing. */
function isOpen(context: Context): boolean {
  return readOff(context, isRecording, false);
}

function isRecording(context: Context): boolean {
  return spanOf(context)?.isRecording() === true;
}
