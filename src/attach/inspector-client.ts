// SPDX-License-Identifier: Apache-2.0
import { get } from 'node:http';
import { Refusal } from './refusal.js';
import { WebSocketClient } from './websocket.js';

/** How long a port that may be no inspector's is waited for. Milliseconds. */
const PROBE_MILLIS = 1_000;

/** Where to connect to; undefined where no inspector of Node.js listens on `port`. */
export async function inspectorPathAt(port: number): Promise<string | undefined> {
  const text = await new Promise<string | undefined>((resolve) => {
    const asked = get(
      { host: '127.0.0.1', port, path: '/json/list', timeout: PROBE_MILLIS, agent: false },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve(body));
        response.on('error', () => resolve(undefined));
      },
    );
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(undefined));
    asked.on('close', () => resolve(undefined));
  });
  try {
    const [target] = JSON.parse(text ?? '') as { type?: string; webSocketDebuggerUrl?: string }[];
    return target?.type === 'node' && target.webSocketDebuggerUrl
      ? new URL(target.webSocketDebuggerUrl).pathname
      : undefined;
  } catch {
    return undefined;
  }
}

interface Value {
  readonly value?: unknown;
  readonly objectId?: string;
}

interface Answer {
  readonly id?: number;
  readonly error?: { readonly message: string };
  readonly result?: {
    readonly result?: Value;
    readonly exceptionDetails?: { readonly text: string; readonly exception?: { readonly description?: string } };
  };
}

/** No answer came in time: the thread runs native code that serves no interrupt. */
export class NoAnswer extends Error {}

/** The inspector was closed by somebody else: whoever has just been there, on going. */
export class Interrupted extends Error {}

/** Has code run in the main thread of a process, in the midst of whatever that is in. */
export class InspectorClient {
  private _socket: WebSocketClient | undefined;
  private _lastId = 0;
  private readonly _waiting = new Map<number, (answer: Answer | undefined) => void>();
  private _onClosed: (() => void) | undefined;
  /** Resolves when the connection is over. */
  readonly closed = new Promise<void>((resolve) => {
    this._onClosed = resolve;
  });

  static async connect(port: number, path: string, timeoutMillis: number): Promise<InspectorClient> {
    const client = new InspectorClient();
    client._socket = await WebSocketClient.connect(
      port,
      path,
      timeoutMillis,
      (text) => client._receive(JSON.parse(text) as Answer),
      () => client._end(),
    );
    return client;
  }

  /** @throws NoAnswer; Refusal where it ends; Error with what `expression` threw. */
  async evaluate(expression: string, timeoutMillis: number): Promise<unknown> {
    return (await this._ask(evaluation(expression), timeoutMillis)).value;
  }

  /**
   * Calls the function that `expression` makes. V8 keeps what it has compiled, for long: a text that is another one each time
   * would leave each of them behind.
   *
   * @throws like {@link evaluate}.
   */
  async call(expression: string, argument: unknown, timeoutMillis: number): Promise<unknown> {
    const { objectId } = await this._ask(evaluation(expression, false), timeoutMillis);
    const functionDeclaration = 'function (argument) { return this(argument); }';
    const given = { functionDeclaration, objectId, arguments: [{ value: argument }], ...QUIETLY };
    return (await this._ask({ method: 'Runtime.callFunctionOn', params: given }, timeoutMillis)).value;
  }

  /** Does not wait for an answer. */
  send(expression: string): void {
    this._socket?.send(JSON.stringify({ id: ++this._lastId, ...evaluation(expression) }));
  }

  close(): void {
    this._socket?.close();
  }

  private async _ask(command: object, timeoutMillis: number): Promise<Value> {
    const { error, result } = await this._send(command, timeoutMillis);
    const thrown = result?.exceptionDetails;
    // Its context is gone, and it waits for us to go: https://github.com/nodejs/node/blob/v20.20.0/src/inspector_agent.cc
    if (error) throw new Refusal(`the process ends just now (${error.message})`);
    if (thrown) throw new Error(thrown.exception?.description ?? thrown.text);
    return result?.result ?? {};
  }

  private _send(command: object, timeoutMillis: number): Promise<Answer> {
    const id = ++this._lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this._waiting.delete(id);
        reject(new NoAnswer('no answer'));
      }, timeoutMillis);
      this._waiting.set(id, (answer) => {
        clearTimeout(timer);
        this._waiting.delete(id);
        if (answer) resolve(answer);
        else reject(new Interrupted('the connection to the inspector has ended'));
      });
      this._socket?.send(JSON.stringify({ id, ...command }));
    });
  }

  private _receive(answer: Answer): void {
    if (answer.id !== undefined) this._waiting.get(answer.id)?.(answer);
  }

  private _end(): void {
    for (const give of [...this._waiting.values()]) give(undefined);
    this._onClosed?.();
  }
}

const QUIETLY = { returnByValue: true, silent: true };

function evaluation(expression: string, returnByValue = true): object {
  return { method: 'Runtime.evaluate', params: { expression, ...QUIETLY, returnByValue } };
}
