// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { paragraph, styleFor } from '../debug/paragraph.js';
import { Summary } from '../debug/summary.js';
import { pathForProcess } from '../debug/trace-file.js';
import type { Block } from '../types.js';
import { describeWhere } from '../words/code.js';
import { describeBlock } from '../words/sentence.js';
import { checkTarget, type Target } from './checks.js';
import { Door, Unreachable } from './door.js';
import { Interrupted, NoAnswer } from './inspector-client.js';
import { nativeCallOf } from './native.js';
import type { AttachOptions } from './options.js';
import { descendantsOf, isAlive } from './proc.js';
import { REFUSED, Refusal } from './refusal.js';
import { type Snapshot, takeSnapshot } from './snapshot.js';
import { describeSnapshot } from './tell.js';
import { TraceOutput } from './trace-output.js';
import { WatchConnection, type WatchListener } from './watch.js';

/** A loop that has not turned for so long is looked at before it is watched. Milliseconds. */
const TURN_MILLIS = 2_000;
/** Where we are stopped, a watch ends by itself so long after it should have. Milliseconds. */
const GRACE_MILLIS = 60_000;
/** A process that ends closes its connections first, and is gone so soon. Milliseconds. */
const ENDING_MILLIS = 2_000;
const POLL_MILLIS = 10;
/** 128 and the number of the signal, as shells have it. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * @returns the exit code.
 * @throws Refusal where nothing is done.
 */
export async function attach(options: AttachOptions): Promise<number> {
  const { pid, seconds, withChildren } = options;
  const watched: Visit[] = [];
  let isRefused = true;
  // One after the other: most of them would open their inspector on the same port.
  for (const it of withChildren ? familyOf(pid) : [pid]) {
    try {
      const visit = await again(async () => {
        const visit = new Visit(checkTarget(it), options);
        if (seconds === undefined) await visit.snapshot();
        return seconds !== undefined && (await visit.startWatch(seconds)) ? visit : undefined;
      });
      if (visit !== undefined) watched.push(visit);
      isRefused = false;
    } catch (error) {
      if (!withChildren) throw error;
      const { message } = error as Error;
      process.stderr.write(`${error instanceof Refusal ? 'refused' : `process ${it}`}: ${message}\n`);
    }
  }
  if (seconds !== undefined && watched.length > 0) await watchOn(watched, seconds);
  return isRefused ? REFUSED : 0;
}

/** Once more, where somebody else has closed the inspector meanwhile. */
async function again<T>(visit: () => Promise<T>): Promise<T> {
  try {
    return await visit();
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    return visit();
  }
}

/** The process and all that it has started, but for ourselves. */
function familyOf(pid: number): number[] {
  const own = new Set([process.pid, ...descendantsOf(process.pid)]);
  return [pid, ...descendantsOf(pid)].filter((it) => !own.has(it));
}

/** For so long, or until a signal, or there is nothing left to be watched. */
async function watchOn(visits: readonly Visit[], seconds: number): Promise<void> {
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const timer = setTimeout(end, seconds * 1000);
  // Another one ends us at once, and with us the connections.
  for (const signal of Object.keys(SIGNALS)) process.once(signal, end);
  await Promise.race([ended, Promise.all(visits.map((visit) => visit.over))]);
  clearTimeout(timer);
  await Promise.all(visits.map((visit) => visit.endWatch()));
  for (const signal of Object.keys(SIGNALS)) process.removeListener(signal, end);
}

/** One process, once. */
class Visit implements WatchListener {
  private readonly _style = styleFor(process.stdout.isTTY === true && process.stdout.hasColors());
  private readonly _summary = new Summary();
  private readonly _connection = new WatchConnection(this);
  private _trace: TraceOutput | undefined;

  constructor(
    private readonly _target: Target,
    private readonly _options: AttachOptions,
  ) {}

  async snapshot(): Promise<void> {
    await this._inside(async (door, deadline) => {
      const snapshot = await takeSnapshot(door.client, this._target.pid, deadline);
      await door.close();
      this._tellSnapshot(snapshot);
    });
  }

  /**
   * A watch, from the next turn of the loop on.
   *
   * @returns whether there is one.
   */
  startWatch(seconds: number): Promise<boolean> {
    return this._inside(async (door, deadline) => {
      try {
        await this._putIn(door, deadline, seconds);
      } catch (error) {
        this._connection.close();
        this._trace?.close();
        throw error;
      }
    });
  }

  /** Resolves where the watch is over by itself: the process has ended. */
  get over(): Promise<unknown> {
    return this._connection.over;
  }

  /** The summary, and everything undone. */
  async endWatch(): Promise<void> {
    const { pid } = this._target;
    const { timeoutMillis, thresholdMillis, json } = this._options;
    const outcome = await this._connection.stop(timeoutMillis);
    const isUndone = outcome !== 'pending';
    const deadline = performance.now() + ENDING_MILLIS;
    while (outcome === 'broken' && isAlive(this._target) && performance.now() < deadline) await sleep(POLL_MILLIS);
    const traceFile = this._trace?.path;
    if (json) {
      this._print({ type: 'summary', pid, ...this._summary.totals, isUndone, traceFile });
    } else if (outcome !== 'never') {
      this._goThere();
      const text = this._summary.text(this._style) || `nothing blocked for ${thresholdMillis} ms\n`;
      process.stdout.write(`${this._whose()}${text}`);
    }
    if (this._trace) this._say(this._trace.close());
    if (outcome === 'undone') return;
    if (!isAlive(this._target)) this._say(`process ${pid} has ended`);
    else if (outcome === 'never') this._say(`process ${pid} did not turn its loop: it was not watched`);
    else if (outcome === 'broken') this._say(`process ${pid} has ended the connection, and undone all`);
    else this._say(`process ${pid} does not turn its loop: what watches it is undone as soon as it does`);
  }

  /** See `WatchListener`, like all that follow. */
  onBlock(block: Block): void {
    const { pid } = this._target;
    this._summary.add(block);
    this._goThere();
    if (this._options.json) this._print({ type: 'block', pid, text: describeBlock(block), block });
    else process.stdout.write(`${this._whose()}${paragraph(block, this._style)}`);
  }

  onNote(text: string): void {
    this._say(`process ${this._target.pid}: ${text}`);
  }

  onTrace(text: string, dropped: number | undefined): void {
    this._trace?.write(text, dropped);
  }

  /**
   * Whatever happens, the inspector is closed behind `body`, by the guard where it does not answer.
   *
   * @returns false where native code runs, which has been told.
   */
  private async _inside(body: (door: Door, deadline: number) => Promise<void>): Promise<boolean> {
    const deadline = performance.now() + this._options.timeoutMillis;
    let door: Door | undefined;
    const stopListening = this._onSignals(() => door);
    try {
      door = await Door.open(this._target, deadline);
      await body(door, deadline);
      return true;
    } catch (error) {
      if (!(error instanceof Unreachable) && !(error instanceof NoAnswer)) {
        await door?.close();
        throw error;
      }
      door?.abandon();
      await this._tellNative();
      return false;
    } finally {
      stopListening();
    }
  }

  private async _putIn(door: Door, deadline: number, seconds: number): Promise<void> {
    const { pid } = this._target;
    const { timeoutMillis, thresholdMillis } = this._options;
    const left = (): number => Math.max(deadline - performance.now(), 1);
    this._trace = this._openTrace();
    const wanted = {
      thresholdMillis,
      lastsMillis: seconds * 1000 + timeoutMillis + GRACE_MILLIS,
      isTraced: this._trace !== undefined,
    };
    await this._connection.start(door.client, wanted, left());
    const started = await this._connection.started(Math.min(left(), TURN_MILLIS));
    if (started === undefined) {
      this._tellSnapshot(await takeSnapshot(door.client, pid, performance.now() + timeoutMillis));
    }
    await door.close();
    const whose = started?.isShared ? ', by the package that is in there already' : '';
    const when = started ? '' : ', once its loop turns';
    this._say(`watching process ${pid} for ${seconds} s, blocks from ${thresholdMillis} ms${whose}${when}`);
    if (door.wasOpen) this._say('its inspector was open before, and stays so: no stacks, as for any debugger');
  }

  private _openTrace(): TraceOutput | undefined {
    const { traceFile, withChildren } = this._options;
    if (traceFile === undefined) return undefined;
    const { pid } = this._target;
    const isNamed = withChildren || traceFile.includes('{pid}');
    return new TraceOutput(isNamed ? pathForProcess(traceFile, pid) : traceFile);
  }

  /** Ahead of what is said of one among others. */
  private _whose(): string {
    return this._options.withChildren ? `process ${this._target.pid}: ` : '';
  }

  /** Paths are told as the process itself would tell them. */
  private _goThere(): void {
    try {
      if (this._target.cwd !== undefined) process.chdir(this._target.cwd);
    } catch {
      // Absolute, then.
    }
  }

  private _say(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  private _tellSnapshot(snapshot: Snapshot): void {
    const { pid } = this._target;
    const { location, ...rest } = snapshot;
    this._goThere();
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
