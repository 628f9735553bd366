// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import type { Socket } from 'node:net';

/**
 * As much of a WebSocket as it takes to talk to V8's inspector: text in whole messages both ways
 * (https://www.rfc-editor.org/rfc/rfc6455). Node.js 20 has none of its own.
 */

const CONTINUATION = 0;
const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

export class WebSocketClient {
  private _received = Buffer.alloc(0);
  private _fragments: Buffer[] = [];

  private constructor(
    private readonly _socket: Socket,
    head: Buffer,
    private readonly _onText: (text: string) => void,
    onClose: () => void,
  ) {
    _socket.on('data', (chunk) => this._receive(chunk));
    // 'close' follows.
    _socket.on('error', () => {});
    _socket.on('close', onClose);
    this._receive(head);
  }

  /** @param path with a leading slash. */
  static connect(
    port: number,
    path: string,
    timeoutMillis: number,
    onText: (text: string) => void,
    onClose: () => void,
  ): Promise<WebSocketClient> {
    return new Promise((resolve, reject) => {
      const asked = request({
        host: '127.0.0.1',
        port,
        path,
        timeout: timeoutMillis,
        headers: {
          Connection: 'Upgrade',
          Upgrade: 'websocket',
          'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
          'Sec-WebSocket-Version': '13',
        },
      });
      asked.on('upgrade', (_response, socket, head) => {
        socket.setTimeout(0);
        resolve(new WebSocketClient(socket as Socket, head, onText, onClose));
      });
      asked.on('response', ({ statusCode }) => {
        reject(new Error(`the inspector answered ${statusCode}`));
        asked.destroy();
      });
      asked.on('timeout', () => asked.destroy(new Error('the inspector does not answer')));
      asked.on('error', reject);
      asked.end();
    });
  }

  send(text: string): void {
    this._write(TEXT, Buffer.from(text));
  }

  /** At once. */
  close(): void {
    this._socket.destroy();
  }

  /** What a client sends is masked. */
  private _write(opcode: number, payload: Buffer): void {
    const { length } = payload;
    const size = length < 126 ? 0 : length < 65_536 ? 2 : 8;
    const head = Buffer.alloc(2 + size + 4);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (size === 0 ? length : size === 2 ? 126 : 127);
    if (size === 2) head.writeUInt16BE(length, 2);
    if (size === 8) head.writeBigUInt64BE(BigInt(length), 2);
    const mask = randomBytes(4);
    mask.copy(head, 2 + size);
    const masked = Buffer.from(payload);
    for (let i = 0; i < length; i++) masked[i] = (masked[i] as number) ^ (mask[i & 3] as number);
    this._socket.write(Buffer.concat([head, masked]));
  }

  private _receive(chunk: Buffer): void {
    this._received = Buffer.concat([this._received, chunk]);
    for (let frame = takeFrame(this._received); frame !== undefined; frame = takeFrame(this._received)) {
      this._received = this._received.subarray(frame.length);
      this._onFrame(frame);
    }
  }

  private _onFrame({ opcode, isLast, payload }: Frame): void {
    if (opcode === PING) this._write(PONG, payload);
    else if (opcode === CLOSE) this.close();
    else if (opcode === TEXT || opcode === CONTINUATION) {
      this._fragments.push(Buffer.from(payload));
      if (!isLast) return;
      const text = Buffer.concat(this._fragments).toString();
      this._fragments = [];
      this._onText(text);
    }
  }
}

interface Frame {
  readonly opcode: number;
  readonly isLast: boolean;
  readonly payload: Buffer;
  /** Head and payload. */
  readonly length: number;
}

/** The first frame of `bytes`; undefined where it is not whole yet. A server does not mask. */
function takeFrame(bytes: Buffer): Frame | undefined {
  if (bytes.length < 2) return undefined;
  const short = (bytes[1] as number) & 0x7f;
  const size = short < 126 ? 0 : short === 126 ? 2 : 8;
  if (bytes.length < 2 + size) return undefined;
  const length = size === 0 ? short : size === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const end = 2 + size + length;
  if (bytes.length < end) return undefined;
  const first = bytes[0] as number;
  return { opcode: first & 0x0f, isLast: first >= 0x80, payload: bytes.subarray(2 + size, end), length: end };
}
