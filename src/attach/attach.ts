// SPDX-License-Identifier: Apache-2.0
import { styleFor } from '../debug/paragraph.js';
import { describeWhere } from '../words/code.js';
import { checkTarget, type Target } from './checks.js';
import { Door, Unreachable } from './door.js';
import { NoAnswer } from './inspector-client.js';
import { nativeCallOf } from './native.js';
import type { AttachOptions } from './options.js';
import { type Snapshot, takeSnapshot } from './snapshot.js';
import { describeSnapshot } from './tell.js';

/** 128 and the number of the signal, as shells have it. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * @returns the exit code.
 * @throws Refusal where nothing is done.
 */
export async function attach(options: AttachOptions): Promise<number> {
  const target = checkTarget(options.pid);
  return new Visit(target, options).snapshot();
}

/** One process, once. */
class Visit {
  private readonly _style = styleFor(process.stdout.isTTY === true && process.stdout.hasColors());

  constructor(
    private readonly _target: Target,
    private readonly _options: AttachOptions,
  ) {
    // Paths are told as the process itself would tell them.
    try {
      if (_target.cwd !== undefined) process.chdir(_target.cwd);
    } catch {
      // Absolute, then.
    }
  }

  async snapshot(): Promise<number> {
    const { pid } = this._target;
    const deadline = performance.now() + this._options.timeoutMillis;
    let door: Door | undefined;
    const stopListening = this._onSignals(() => door);
    try {
      door = await Door.open(this._target, deadline);
      const snapshot = await takeSnapshot(door.client, pid, deadline);
      await door.close();
      this._tellSnapshot(snapshot);
      return 0;
    } catch (error) {
      if (!(error instanceof Unreachable) && !(error instanceof NoAnswer)) {
        await door?.close();
        throw error;
      }
      door?.abandon();
      await this._tellNative();
      return 0;
    } finally {
      stopListening();
    }
  }

  private _tellSnapshot(snapshot: Snapshot): void {
    const { pid } = this._target;
    const { location, ...rest } = snapshot;
    if (this._options.json) {
      const where = location && { place: describeWhere(location.frame), ...location };
      this._print({ type: 'snapshot', pid, ...rest, location: where });
    } else {
      process.stdout.write(describeSnapshot(pid, snapshot, this._style));
    }
  }

  private async _tellNative(): Promise<void> {
    const { pid } = this._target;
    const native = await nativeCallOf(pid);
    if (this._options.json) {
      this._print({ type: 'native', pid, ...native });
      return;
    }
    const seconds = this._options.timeoutMillis / 1000;
    process.stdout.write(
      `process ${pid}: ${this._style.strong('event loop hangs')} in native code, ${native.text}\n` +
        `    no answer for ${seconds} s: such a call serves no interrupt, and nothing in there can be asked for the function that made it\n` +
        '    the inspector that opens as it returns is closed again by a process that stays behind until then\n',
    );
  }

  private _print(value: object): void {
    process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  private _onSignals(door: () => Door | undefined): () => void {
    const listeners = Object.entries(SIGNALS).map(([signal, code]) => {
      const listener = async (): Promise<void> => {
        // What is not open yet the guard closes.
        await door()?.close();
        process.exit(code);
      };
      process.once(signal, listener);
      return () => process.removeListener(signal, listener);
    });
    return () => {
      for (const stop of listeners) stop();
    };
  }
}
