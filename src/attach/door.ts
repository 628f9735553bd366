// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { checkVersion, type Target } from './checks.js';
import { CLOSE, closeWorkers, Guard, type Guarded } from './guard.js';
import { InspectorClient, Interrupted, inspectorPathAt, NoAnswer } from './inspector-client.js';
import { isIdle } from './native.js';
import { clusterWorkersOf, factsOf, isAlive, listeningPorts } from './proc.js';
import { Refusal } from './refusal.js';

const POLL_MILLIS = 10;
/** An idle process that has opened nothing by then has a use of its own for the signal. Milliseconds. */
const OWN_HANDLER_MILLIS = 1_000;
/** How far the clock of a process may be from what it tells, and what it tells from now. Milliseconds. */
const CLOSE_MILLIS = 2_000;

/** The inspector does not open, or does not answer: the main thread is in native code. */
export class Unreachable extends Error {}

/** The inspector of a process: opened by a signal, proven to be that process's, closed in every way out. */
export class Door {
  private constructor(
    readonly client: InspectorClient,
    readonly port: number,
    /** Undefined where it was open before, and stays so. */
    private readonly _guard: Guard | undefined,
    private readonly _target: Target,
    private readonly _workers: readonly Guarded[],
  ) {}

  get wasOpen(): boolean {
    return this._guard === undefined;
  }

  /**
   * @throws Refusal where the process has a use of its own for the signal, or it is not the process that was meant.
   * @throws Unreachable where its main thread serves no interrupt.
   */
  static async open(target: Target, deadline: number): Promise<Door> {
    const { pid, inspectorPort, isInspected } = target;
    const before = listeningPorts(pid);
    const open = await inspectorAmong(before.filter((port) => isInspected || port === inspectorPort));
    if (open !== undefined) return Door._enter(target, open, undefined, [], deadline);
    if (before.includes(inspectorPort)) {
      throw new Refusal(`process ${pid} itself listens on port ${inspectorPort}, where its inspector would open`);
    }
    // The primary of a cluster has its workers open theirs as well.
    // https://github.com/nodejs/node/blob/v20.20.0/lib/internal/cluster/primary.js
    const workers = clusterWorkersOf(pid).map((it) => ({ ...it, portsBefore: listeningPorts(it.pid) }));
    const children = workers.map((it) => it.pid);
    const guard = await Guard.start([{ ...target, portsBefore: before }, ...workers]);
    if (!isAlive(target)) {
      guard.dismiss();
      throw new Refusal(`process ${pid} has ended`);
    }
    process.kill(pid, 'SIGUSR1');
    const signalledAt = performance.now();
    for (;;) {
      const opened = await inspectorAmong(listeningPorts(pid).filter((it) => !before.includes(it)));
      if (opened !== undefined) return Door._enter(target, opened, guard, workers, deadline);
      if (!isAlive(target)) {
        guard.dismiss();
        throw new Refusal(`process ${pid} has ended`);
      }
      if (performance.now() - signalledAt > OWN_HANDLER_MILLIS && (await isIdle(pid, children))) {
        guard.dismiss();
        const open = await inspectorAmong(before);
        if (open !== undefined) return Door._enter(target, open, undefined, [], deadline);
        throw new Refusal(
          `process ${pid} got SIGUSR1 and opened no inspector within ${OWN_HANDLER_MILLIS / 1000} s: it has a handler of its own for that signal, unless somebody else has just attached as well`,
        );
      }
      // The guard stays behind, and closes what may open yet.
      if (performance.now() >= deadline) {
        guard.takeOver();
        throw new Unreachable('the inspector does not open');
      }
      await sleep(POLL_MILLIS);
    }
  }

  private static async _enter(
    target: Target,
    { port, path }: { readonly port: number; readonly path: string },
    guard: Guard | undefined,
    workers: readonly Guarded[],
    deadline: number,
  ): Promise<Door> {
    const left = (): number => Math.max(deadline - performance.now(), 1);
    let client: InspectorClient;
    try {
      client = await InspectorClient.connect(port, path, left());
    } catch (error) {
      if (listeningPorts(target.pid).includes(port)) {
        guard?.takeOver();
        throw error;
      }
      guard?.dismiss();
      throw new Interrupted('the inspector has been closed');
    }
    const door = new Door(client, port, guard, target, workers);
    try {
      await door._proveIdentity(left());
    } catch (error) {
      if (error instanceof NoAnswer) {
        door.abandon();
        throw new Unreachable('the inspector does not answer');
      }
      await door.close();
      throw error;
    }
    return door;
  }

  /** Reads two values, before anything else is asked. */
  private async _proveIdentity(timeoutMillis: number): Promise<void> {
    const { pid, innerPid, startTicks } = this._target;
    const told = await this.client.evaluate('[process.pid, process.version].join(" ")', timeoutMillis);
    const [tellsPid, version = ''] = String(told).split(' ');
    if (Number(tellsPid) !== innerPid || factsOf(pid)?.startTicks !== startTicks) {
      throw new Refusal(`what answers on port ${this.port} is process ${tellsPid}, not ${pid}`);
    }
    checkVersion(pid, version);
  }

  /** Closes the inspector, unless it was open before. Whatever goes wrong, the guard closes it. */
  async close(): Promise<void> {
    if (this._guard === undefined) {
      this.client.close();
      return;
    }
    this.client.send(CLOSE);
    const until = performance.now() + CLOSE_MILLIS;
    while (isAlive(this._target) && listeningPorts(this._target.pid).includes(this.port)) {
      if (performance.now() > until) {
        this.abandon();
        return;
      }
      await sleep(POLL_MILLIS);
    }
    this.client.close();
    const isClosed = await closeWorkers(this._target, this._workers, CLOSE_MILLIS);
    if (!isClosed) this._guard.takeOver();
    else this._guard.dismiss();
  }

  /** Leaves it to the guard. */
  abandon(): void {
    this.client.close();
    this._guard?.takeOver();
  }
}

async function inspectorAmong(ports: readonly number[]): Promise<{ port: number; path: string } | undefined> {
  for (const port of ports) {
    const path = await inspectorPathAt(port);
    if (path !== undefined) return { port, path };
  }
  return undefined;
}
