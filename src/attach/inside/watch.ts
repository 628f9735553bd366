// SPDX-License-Identifier: Apache-2.0

/**
 * The debug mode for a process that runs already: sent to it as text, without a file that it would have to find. Tells over a
 * connection what blocks, and where that ends, whatever has become of the other side, undoes everything.
 */
import '../../system/own-code.js';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { closeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from 'node:timers';
import { context, type DiagLogger, ROOT_CONTEXT, type Span } from '@opentelemetry/api';
import { resolveConfig } from '../../config.js';
import { TraceEvents } from '../../debug/trace-events.js';
import { type DebugSink, debugSink, setDebugSink } from '../../debug-sink.js';
import { EventLoopInstrumentation, watcher } from '../../instrumentation.js';
import { API_KEY } from '../../otel/registered.js';
import { suppressTracing } from '../../otel/span-of.js';
import { CHANNEL_BLOCK } from '../../semconv.js';
import type { Block } from '../../types.js';
import { PACKAGE_NAME } from '../../version.js';
import { STOP, type WatchMessage, type WatchOrder } from '../messages.js';

/** What the other side has not taken is kept up to here; then it is left out. Bytes. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
const TRACE_FLUSH_MILLIS = 200;

/** What is told of each slice, iteration and sample, beside the blocks. */
type Listener = Pick<DebugSink, 'onSlice' | 'onIteration'> & {
  onStackSample(...sample: Parameters<TraceEvents['onStackSample']>): void;
};

/** Whom the debug mode tells, where it watches the process; see `Findings`. */
interface WithListeners {
  readonly listeners?: Set<Listener>;
}

/**
 * Called in the midst of whatever runs: only takes note.
 *
 * @param opened descriptors that are opened meanwhile.
 * @returns why it cannot be; empty where it can.
 */
export function start(order: WatchOrder, opened: readonly number[]): string {
  if (isOffline()) return '--permission forbids connections (--allow-net)';
  const sink = debugSink() as (DebugSink & WithListeners) | undefined;
  if (sink !== undefined && sink.listeners === undefined) return 'somebody watches it in this way already';
  const keysBefore = new Set(Reflect.ownKeys(globalThis));
  // A job and then a turn of its own: Node.js may be in the midst of its own queues.
  Promise.resolve().then(() => {
    setImmediate(() => {
      try {
        context.with(suppressTracing(ROOT_CONTEXT), () => new Watch(order, opened, keysBefore));
      } catch {
        // Nothing has begun: the other side waits in vain.
      }
    });
  });
  return '';
}

/** Versions that forbid no connections answer with false as well: to whatever they do not know. */
function isOffline(): boolean {
  const { permission } = process as unknown as { permission?: { has(scope: string): boolean } };
  // Read where it must be: Node.js makes it as it is asked for.
  return permission?.has('net') === false && process.allowedNodeEnvironmentFlags.has('--allow-net');
}

class Watch {
  private readonly _socket: Socket;
  private _undo: (() => void)[] = [];
  private _trace: TraceEvents | undefined;

  constructor(
    private readonly _order: WatchOrder,
    private readonly _opened: readonly number[],
    private readonly _keysBefore: ReadonlySet<string | symbol>,
  ) {
    this._socket = connect(_order.address, () => this._begin());
    this._socket.unref();
    this._socket.setEncoding('utf8');
    this._socket.on('data', (text) => {
      if (String(text).includes(STOP)) this._end();
    });
    // 'close' follows.
    this._socket.on('error', () => {});
    this._socket.on('close', () => this._undoAll());
  }

  private _begin(): void {
    this._socket.write(`${this._order.token}\n`);
    try {
      this._tell({ type: 'started', isShared: this._install() });
    } catch (error) {
      this._note(`cannot watch: ${(error as Error).message}`);
      this._end();
    }
  }

  /** @returns whether the package was there already. */
  private _install(): boolean {
    const { thresholdMillis, lastsMillis, isTraced } = this._order;
    // Where the other side is stopped, and neither ends nor says anything.
    const timer = setTimeout(() => this._end(), lastsMillis).unref();
    this._undo.push(() => clearTimeout(timer));
    const onBlock = (message: unknown): void => {
      try {
        const block = message as Block;
        if (block.durationMillis >= thresholdMillis) this._tell({ type: 'block', block });
      } catch {
        // Thrown here it would become an uncaught exception of the application's.
      }
    };
    subscribe(CHANNEL_BLOCK, onBlock);
    this._undo.push(() => unsubscribe(CHANNEL_BLOCK, onBlock));
    if (isTraced) this._startTrace();
    const there = watcher();
    if (there !== undefined) {
      this._share(there as EventLoopInstrumentation);
      return true;
    }
    this._setSink(thresholdMillis);
    const instrumentation = startQuietly(thresholdMillis, (text) => this._note(text));
    this._undo.push(() => instrumentation.disable());
    return false;
  }

  /** Whatever the application, or the command line, has chosen stays as it is. */
  private _share(there: EventLoopInstrumentation): void {
    const debug = debugSink() as WithListeners | undefined;
    const { blockThresholdMillis } = resolveConfig(there.getConfig(), process.env, () => {});
    if (debug === undefined && blockThresholdMillis > this._order.thresholdMillis) {
      this._note(`the package in there looks for blocks from ${blockThresholdMillis} ms on`);
    }
    const trace = this._trace;
    if (trace === undefined) return;
    const { listeners } = debug ?? {};
    if (listeners !== undefined) {
      const listener = listenerFor(trace);
      listeners.add(listener);
      this._undo.push(() => listeners.delete(listener));
      return;
    }
    // It looks for whoever wants to be told as it starts.
    const again = (): void => {
      there.disable();
      there.enable();
    };
    this._undo.push(again);
    this._setSink(Number.POSITIVE_INFINITY);
    again();
  }

  private _setSink(maxThresholdMillis: number): void {
    const trace = this._trace;
    const listener = trace ? listenerFor(trace) : { onSlice() {}, onIteration() {}, onStackSample() {} };
    setDebugSink({ ...listener, maxThresholdMillis, hasStarted: true });
    this._undo.push(() => setDebugSink(undefined));
  }

  private _startTrace(): void {
    const trace = new TraceEvents();
    this._trace = trace;
    const timer = setInterval(() => {
      if (this._socket.writableLength < MAX_WAITING_BYTES) this._tell({ type: 'trace', text: trace.take() });
    }, TRACE_FLUSH_MILLIS).unref();
    this._undo.push(() => {
      clearInterval(timer);
      this._tell({ type: 'trace', text: trace.takeLast(), dropped: trace.dropped });
    });
  }

  private _end(): void {
    this._undoAll();
    this._tell({ type: 'stopped' });
    this._socket.end();
  }

  private _undoAll(): void {
    const undo = this._undo.reverse();
    this._undo = [];
    for (const step of undo) {
      try {
        step();
      } catch {
        // The next one all the same.
      }
    }
    if (undo.length === 0) return;
    forget(this._keysBefore);
    // Read from at once each time: nothing is under way there.
    for (const descriptor of this._opened) {
      try {
        closeSync(descriptor);
      } catch {
        // Closed by an application that closes whatever it finds open.
      }
    }
  }

  private _note(text: string): void {
    this._tell({ type: 'note', text });
  }

  private _tell(message: WatchMessage): void {
    const { writable, writableLength } = this._socket;
    if (!writable || (message.type === 'block' && writableLength > MAX_WAITING_BYTES)) return;
    this._socket.write(`${JSON.stringify(message, spansPlain)}\n`);
  }
}

function listenerFor(trace: TraceEvents): Listener {
  return {
    onSlice: (...slice) => trace.onSlice(...slice),
    onIteration: (isBlock) => trace.onIteration(isBlock),
    onStackSample: (sample, at) => {
      if (sample.stack.length > 0) trace.onStackSample(sample, at);
    },
  };
}

/** Writes nothing anywhere: neither telemetry, nor on the spans of the application. */
function startQuietly(blockThresholdMillis: number, say: (text: string) => void): EventLoopInstrumentation {
  const silent = (): void => {};
  const log: DiagLogger = { error: say, warn: say, info: silent, debug: silent, verbose: silent };
  // A class, because the base constructor asks for it already.
  class QuietInstrumentation extends EventLoopInstrumentation {
    protected override _log(): DiagLogger {
      return log;
    }

    protected override _whyNot(): undefined {}

    protected override get _isQuiet(): boolean {
      return true;
    }
  }
  return new QuietInstrumentation({
    enabled: true,
    blockThresholdMillis,
    watchdog: true,
    hangThresholdMillis: 0,
    runtimeMetrics: false,
  });
}

/** What is kept on the global under our name, or was waited for there in vain, and was not there before. */
function forget(before: ReadonlySet<string | symbol>): void {
  const globals = globalThis as unknown as Record<symbol, unknown>;
  for (const key of Reflect.ownKeys(globals)) {
    if (typeof key !== 'symbol' || before.has(key)) continue;
    const isOurs = key.description?.startsWith(PACKAGE_NAME) || key === API_KEY;
    if (isOurs && globals[key] === undefined) Reflect.deleteProperty(globals, key);
  }
}

function spansPlain(key: string, value: unknown): unknown {
  if (key !== 'span' || typeof value !== 'object' || value === null) return value;
  const { traceId, spanId } = (value as Span).spanContext();
  return { traceId, spanId, kind: (value as { kind?: unknown }).kind };
}
