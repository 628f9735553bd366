// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { InspectorClient, inspectorPathAt } from './inspector-client.js';
import { isAlive, listeningPorts } from './proc.js';

/** The inspector lets any local user in. Whatever becomes of us, it is not to stay open. */
export const GUARD_COMMAND = '--close-behind';
/** Closes the inspector from within. Its answer never comes. */
export const CLOSE = 'process.getBuiltinModule("node:inspector").close()';

const DONE = 'done';
const POLL_MILLIS = 200;
const CONNECT_MILLIS = 5_000;

interface Guarded {
  readonly pid: number;
  readonly startTicks: string;
}

/** A process of its own that closes the inspector of another one where we end without having done so, killed even. */
export class Guard {
  private constructor(private readonly _child: ChildProcess) {}

  /** Ahead of the signal. */
  static async start({ pid, startTicks }: Guarded): Promise<Guard> {
    const ports = listeningPorts(pid).join(',');
    const child = spawn(process.execPath, [process.argv[1] as string, GUARD_COMMAND, `${pid}`, startTicks, ports], {
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

  /** It stays behind us from now on. @returns its process id. */
  get pid(): number | undefined {
    return this._child.pid;
  }
}

/** What the guard does: waits until whoever started it is through, or gone; then closes what has opened since, or opens yet. */
export async function closeBehind(pid: number, startTicks: string, portsBefore: readonly number[]): Promise<void> {
  let said = '';
  for await (const chunk of process.stdin) said += chunk;
  if (said === DONE) return;
  for (; isAlive({ pid, startTicks }); await sleep(POLL_MILLIS)) {
    for (const port of listeningPorts(pid).filter((it) => !portsBefore.includes(it))) {
      const path = await inspectorPathAt(port);
      if (path === undefined) continue;
      try {
        const client = await InspectorClient.connect(port, path, CONNECT_MILLIS);
        client.send(CLOSE);
        await Promise.race([client.closed, sleep(CONNECT_MILLIS)]);
        client.close();
      } catch {
        // Closed meanwhile, or the next time.
      }
      if (!listeningPorts(pid).includes(port)) return;
    }
  }
}
