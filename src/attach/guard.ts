// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { InspectorClient, inspectorPathAt } from './inspector-client.js';
import { isIdle } from './native.js';
import { isAlive, listeningPorts, mainThreadOf } from './proc.js';

/** The inspector lets any local user in. Whatever becomes of us, it is not to stay open. */
export const GUARD_COMMAND = '--close-behind';
/**
 * Closes the inspector from within. Its answer never comes. Node.js opens it by an interrupt and by an event of the loop, whichever
 * comes first, and where that was the interrupt, the event opens it once more as soon as the loop turns: from within a block, or
 * behind what poll has found already. The queues of Node.js may be in the midst of a change, hence the promise.
 * https://github.com/nodejs/node/blob/v20.20.0/src/inspector_agent.cc
 */
export const CLOSE = `(() => {
  const { close, url } = process.getBuiltinModule('node:inspector');
  const { setImmediate } = process.getBuiltinModule('node:timers');
  let turns = 3;
  const again = () => {
    if (url() !== undefined) close();
    if (--turns > 0) setImmediate(again);
  };
  Promise.resolve().then(() => setImmediate(again));
  close();
})()`;

const DONE = 'done';
const POLL_MILLIS = 50;
const CONNECT_MILLIS = 5_000;
/** An idle process that has opened nothing by then does not open it any more. Milliseconds. */
const OPENING_MILLIS = 1_000;

export interface Guarded {
  readonly pid: number;
  readonly startTicks: string;
  /** What it listened on before. */
  readonly portsBefore: readonly number[];
}

/** A process of its own that closes the inspectors of other ones where we end without having done so, killed even. */
export class Guard {
  private constructor(private readonly _child: ChildProcess) {}

  /** Ahead of the signal. */
  static async start(guarded: readonly Guarded[]): Promise<Guard> {
    const list = guarded.map(({ pid, startTicks, portsBefore }): Guarded => ({ pid, startTicks, portsBefore }));
    const child = spawn(process.execPath, [process.argv[1] as string, GUARD_COMMAND, JSON.stringify(list)], {
      // Ctrl-C is for those in the foreground.
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {},
    });
    child.stdin?.on('error', () => {});
    await once(child, 'spawn');
    child.unref();
    (child.stdin as unknown as { unref(): void }).unref();
    return new Guard(child);
  }

  /** There is nothing left to close. */
  dismiss(): void {
    this._child.stdin?.end(DONE);
  }

  /** It closes whatever is open, or opens yet, as it does where we end. */
  takeOver(): void {
    this._child.stdin?.end();
  }
}

/** What the guard does: waits until whoever started it is through, or gone; then closes what has opened since, or opens yet. */
export async function closeBehind(guarded: readonly Guarded[]): Promise<void> {
  let said = '';
  for await (const chunk of process.stdin) said += chunk;
  if (said === DONE) return;
  const [target, ...workers] = guarded as [Guarded, ...Guarded[]];
  await closeOpened(target, Number.POSITIVE_INFINITY);
  await closeWorkers(target, workers, Number.POSITIVE_INFINITY);
}

/** @returns whether none of them is open any more, or will be, within that time. */
export async function closeWorkers(
  primary: Pick<Guarded, 'pid' | 'startTicks'>,
  workers: readonly Guarded[],
  timeoutMillis: number,
): Promise<boolean> {
  if (workers.length === 0) return true;
  const isPrimaryIdle = (): Promise<boolean> =>
    isIdle(
      primary.pid,
      workers.map(({ pid }) => pid),
    );
  const close = async (): Promise<boolean> => {
    const areClosed = await Promise.all(workers.map((worker) => closeOpened(worker, timeoutMillis)));
    return !areClosed.includes(false);
  };
  const startedAt = performance.now();
  const hasTurned = await isPrimaryIdle();
  const areClosed = await close();
  if (hasTurned) return areClosed;
  // Where it opens its own once more behind a block, it has them open theirs once more.
  for (; isAlive(primary) && !(await isPrimaryIdle()); await sleep(POLL_MILLIS)) {
    if (performance.now() - startedAt > timeoutMillis) return false;
  }
  return close();
}

/** @returns whether nothing is open any more, or will be, within that time. */
export async function closeOpened(guarded: Guarded, timeoutMillis: number): Promise<boolean> {
  const { pid, portsBefore } = guarded;
  const startedAt = performance.now();
  for (; isAlive(guarded); await sleep(POLL_MILLIS)) {
    for (const port of listeningPorts(pid).filter((it) => !portsBefore.includes(it))) {
      const path = await inspectorPathAt(port);
      if (path === undefined) continue;
      try {
        const client = await InspectorClient.connect(port, path, CONNECT_MILLIS);
        client.send(CLOSE);
        await Promise.race([client.closed, sleep(CONNECT_MILLIS, undefined, { ref: false })]);
        client.close();
      } catch {
        // Closed meanwhile, or the next time.
      }
      if (!listeningPorts(pid).includes(port)) return true;
    }
    const waitedMillis = performance.now() - startedAt;
    // Where nobody tells what it waits in, it may be a native call, behind which it opens.
    const isKnown = mainThreadOf(pid)?.waitsIn !== undefined;
    if (waitedMillis > OPENING_MILLIS && isKnown && (await isIdle(pid))) return true;
    if (waitedMillis > timeoutMillis) return false;
  }
  return true;
}
