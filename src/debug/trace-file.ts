// SPDX-License-Identifier: Apache-2.0
import { openSync, write, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { clearInterval, setInterval } from 'node:timers';
import { TraceEvents } from './trace-events.js';

const FLUSH_MILLIS = 200;

/** @returns `path` with the process id, at `{pid}` or ahead of its extension. */
export function pathForProcess(path: string, pid: number): string {
  return path.includes('{pid}') ? path.replaceAll('{pid}', `${pid}`) : path.replace(/(\.[^./\\]*)?$/, `.${pid}$1`);
}

/** What has become of a trace file. @param reason why it is not whole; undefined where it is. */
export function describeTrace(path: string, dropped: number, reason: string | undefined): string {
  if (reason !== undefined) return `the trace file ${path} is not whole: ${reason}`;
  const without = dropped > 0 ? `, without ${dropped} events that were too many` : '';
  return `trace written to ${path}${without}`;
}

/** {@link TraceEvents} in a file, written while the process runs. */
export class TraceFile {
  readonly path: string;
  readonly events = new TraceEvents();

  private readonly _descriptor: number;
  private readonly _timer: NodeJS.Timeout;
  /** On its way to the disk. */
  private _underWay: Buffer | undefined;
  private _position = 0;
  private _failure: Error | undefined;

  /** @param path gets the process id: child processes inherit the option. */
  constructor(path: string) {
    this.path = resolve(pathForProcess(path, process.pid));
    this._descriptor = openSync(this.path, 'w');
    this._timer = setInterval(() => this._flush(), FLUSH_MILLIS).unref();
  }

  /** At exit: writes what is left, at once. @returns why the file is not whole, if it is not. */
  close(): Error | undefined {
    clearInterval(this._timer);
    const last = this.events.takeLast();
    try {
      // Nobody waits for what is under way, and to write the same in the same place again does no harm.
      if (this._failure === undefined) {
        const rest = Buffer.concat([this._underWay ?? Buffer.alloc(0), Buffer.from(last)]);
        for (let at = 0; at < rest.length; ) {
          at += writeSync(this._descriptor, rest, at, rest.length - at, this._position + at);
        }
      }
    } catch (error) {
      this._failure = error as Error;
    }
    return this._failure;
  }

  private _flush(): void {
    // A slow disk lets them wait.
    if (this._underWay !== undefined) return;
    const bytes = Buffer.from(this.events.take());
    if (bytes.length === 0 || this._failure) return;
    this._underWay = bytes;
    write(this._descriptor, bytes, 0, bytes.length, this._position, (error, written) => {
      this._underWay = undefined;
      if (error) this._failure = error;
      else if (written < bytes.length) this._failure = new Error('the disk is full');
      this._position += bytes.length;
    });
  }
}
