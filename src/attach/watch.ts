// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Block } from '../types.js';
import type { InspectorClient } from './inspector-client.js';
import { STOP, type WatchMessage, type WatchOrder } from './messages.js';
import { Refusal } from './refusal.js';
import { asExpression } from './snapshot.js';
import { WATCH_SOURCE } from './watch-source.js';

/** Ahead of the source: Node.js's own modules, of which the one of files tells which descriptors it has opened. */
const MODULES = `const opened = [], files = require('node:fs'), modules = require;
require = (id) => id !== 'node:fs' ? modules(id) : Object.create(files, {
  openSync: { value: (...given) => { const it = files.openSync(...given); opened.push(it); return it; } },
});`;

const START = asExpression(`${MODULES}\n${WATCH_SOURCE}`, 'return (order) => exports.start(order, opened);');

/** `sun_path`; https://man7.org/linux/man-pages/man7/unix.7.html */
const ADDRESS_BYTES = 108;

/** Whoever wants to know what a watch tells. */
export interface WatchListener {
  onBlock(block: Block): void;
  /** Something to be said in words. */
  onNote(text: string): void;
  /** A piece of a trace file. Of the last one is known how many events are missing. */
  onTrace(text: string, dropped: number | undefined): void;
}

/** The watch in the process, from our side. */
export class WatchConnection {
  private _socket: Socket | undefined;
  private readonly _token = randomBytes(16).toString('hex');
  /**
   * Of Linux's abstract ones: no file, which a container would not see, and nobody has to remove. As long as they can be:
   * shorter ones the libuv of Node.js 20 fills up with zeros, and that of later ones does not, which are two names.
   */
  private readonly _address = `\0event-loop-attach-${randomBytes(16).toString('hex')}`.padEnd(ADDRESS_BYTES, '-');
  private readonly _spans = new Map<string, object>();
  private readonly _server: Server;
  private readonly _started: Promise<{ readonly isShared: boolean }>;
  private _onStarted: (message: { readonly isShared: boolean }) => void = () => {};
  private _onOver: (isStopped: boolean) => void = () => {};
  /** Resolves where it is undone, with true, or the connection has ended, with false. */
  readonly over = new Promise<boolean>((resolve) => {
    this._onOver = resolve;
  });

  constructor(private readonly _listener: WatchListener) {
    this._started = new Promise((resolve) => {
      this._onStarted = resolve;
    });
    this._server = createServer((socket) => this._accept(socket));
  }

  /**
   * Has the watch start at the next turn of the loop.
   *
   * @throws Refusal where the process does not let it.
   */
  async start(
    client: InspectorClient,
    wanted: Pick<WatchOrder, 'thresholdMillis' | 'lastsMillis' | 'isTraced'>,
    timeoutMillis: number,
  ): Promise<void> {
    this._server.listen(this._address);
    await once(this._server, 'listening');
    const order: WatchOrder = { address: this._address, token: this._token, ...wanted };
    const reason = await client.call(START, order, timeoutMillis);
    if (reason !== '') throw new Refusal(`the process cannot be watched: ${reason}`);
  }

  /** @returns undefined where the loop does not turn for so long. */
  async started(timeoutMillis: number): Promise<{ readonly isShared: boolean } | undefined> {
    return within(this._started, timeoutMillis);
  }

  /**
   * @returns `pending` where not all is undone within that time, `broken` where the connection has ended without a word, `never`
   * where it has not begun.
   */
  async stop(timeoutMillis: number): Promise<'undone' | 'pending' | 'broken' | 'never'> {
    if (this._socket === undefined) {
      this.close();
      return 'never';
    }
    this._socket.write(STOP);
    const isStopped = await within(this.over, timeoutMillis);
    this.close();
    if (isStopped === undefined) return 'pending';
    return isStopped ? 'undone' : 'broken';
  }

  /** The process undoes it, at the latest as soon as its loop turns. */
  close(): void {
    this._server.close();
    this._socket?.destroy();
  }

  private _accept(socket: Socket): void {
    socket.on('error', () => {});
    let isKnown = false;
    const lines = createInterface({ input: socket });
    lines.on('line', (line) => {
      if (isKnown) this._receive(JSON.parse(line, (key, value) => this._revive(key, value)) as WatchMessage);
      else if (line !== this._token) socket.destroy();
      else {
        isKnown = true;
        this._socket = socket;
        this._server.close();
        lines.on('close', () => this._onOver(false));
      }
    });
  }

  private _receive(message: WatchMessage): void {
    if (message.type === 'started') this._onStarted(message);
    else if (message.type === 'block') this._listener.onBlock(message.block as Block);
    else if (message.type === 'note') this._listener.onNote(message.text);
    else if (message.type === 'trace') this._listener.onTrace(message.text, message.dropped);
    else this._onOver(true);
  }

  /** One span is one object, as it is in the process. */
  private _revive(key: string, value: unknown): unknown {
    if (key !== 'span' || typeof value !== 'object' || value === null) return value;
    const { traceId, spanId, kind } = value as { traceId: string; spanId: string; kind: unknown };
    const known = this._spans.get(spanId) ?? { traceId, spanId, kind, spanContext: () => ({ traceId, spanId }) };
    this._spans.set(spanId, known);
    return known;
  }
}

async function within<T>(promise: Promise<T>, millis: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), millis);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
