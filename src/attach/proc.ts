// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';

/** What Linux says of a process; https://man7.org/linux/man-pages/man5/proc.5.html. Reads only. */

const PROC = '/proc';

export interface ProcessFacts {
  readonly pid: number;
  /** What the process itself takes for its id: another one in a container. */
  readonly innerPid: number;
  readonly uid: number;
  /** When it was started, as the kernel counts: with `pid` it is no other process. */
  readonly startTicks: string;
  /** Undefined where it may not be read. */
  readonly executable: string | undefined;
  readonly args: readonly string[];
  /** `NODE_OPTIONS` of its environment. */
  readonly nodeOptions: string;
  readonly cwd: string | undefined;
  /** Signals that it catches, as a mask. */
  readonly caught: bigint;
}

/** Undefined where there is no such process, or it is a zombie. */
export function factsOf(pid: number): ProcessFacts | undefined {
  const stat = statOf(pid);
  const status = read(`${pid}/status`);
  if (stat === undefined || status === undefined || stat.state === 'Z') return undefined;
  const line = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
  const environment = read(`${pid}/environ`) ?? '';
  return {
    pid,
    innerPid: Number(line('NSpid').split(/\s+/).pop() || pid),
    uid: Number(line('Uid').split(/\s+/)[0]),
    startTicks: stat.startTicks,
    executable: link(`${pid}/exe`),
    args: (read(`${pid}/cmdline`) ?? '').split('\0').slice(0, -1),
    nodeOptions: /(?:^|\0)NODE_OPTIONS=([^\0]*)/.exec(environment)?.[1] ?? '',
    cwd: link(`${pid}/cwd`),
    caught: BigInt(`0x${line('SigCgt') || '0'}`),
  };
}

interface Stat {
  readonly state: string;
  readonly startTicks: string;
}

/** @param path of a process, or of one of its threads. */
function statOf(path: number | string): Stat | undefined {
  // The name, in parentheses, may hold anything.
  const fields = read(`${path}/stat`)
    ?.replace(/^.*\) /s, '')
    .split(' ');
  return fields && { state: fields[0] ?? '', startTicks: fields[19] ?? '' };
}

/** Whether it still is the process that it was. */
export function isAlive({ pid, startTicks }: Pick<ProcessFacts, 'pid' | 'startTicks'>): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.state !== 'Z' && stat.startTicks === startTicks;
}

/** Its namespace of this kind; undefined where it may not be known. */
export function namespaceOf(pid: number | 'self', kind: 'net' | 'pid' | 'mnt'): string | undefined {
  return link(`${pid}/ns/${kind}`);
}

/** Its child processes. */
export function childrenOf(pid: number): number[] {
  return list(`${pid}/task`)
    .flatMap((thread) => (read(`${pid}/task/${thread}/children`) ?? '').trim().split(/\s+/))
    .filter((id) => id !== '')
    .map(Number);
}

/** Those of its child processes that `node:cluster` has started. */
export function clusterWorkersOf(pid: number): Pick<ProcessFacts, 'pid' | 'startTicks'>[] {
  const isWorker = (child: number): boolean => /(?:^|\0)NODE_UNIQUE_ID=/.test(read(`${child}/environ`) ?? '');
  return childrenOf(pid)
    .filter(isWorker)
    .flatMap((child) => factsOf(child) ?? [])
    .map(({ pid, startTicks }) => ({ pid, startTicks }));
}

/** Its child processes, and theirs. */
export function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** TCP ports that it listens on, by the sockets that are its own. */
export function listeningPorts(pid: number): number[] {
  const sockets = new Set(list(`${pid}/fd`).map((fd) => /^socket:\[(\d+)\]$/.exec(link(`${pid}/fd/${fd}`) ?? '')?.[1]));
  return listeners(pid)
    .filter(({ inode }) => sockets.has(inode))
    .map(({ port }) => port);
}

/** Whether anybody in its network listens on that port. */
export function isPortTaken(pid: number, port: number): boolean {
  return listeners(pid).some((it) => it.port === port);
}

const LISTENING = '0A';

function listeners(pid: number): { readonly port: number; readonly inode: string }[] {
  return ['tcp', 'tcp6'].flatMap((name) => {
    const rows = (read(`${pid}/net/${name}`) ?? '').trim().split('\n').slice(1);
    return rows.flatMap((row) => {
      const [, local = '', , state, , , , , , inode = ''] = row.trim().split(/\s+/);
      return state === LISTENING ? [{ port: Number.parseInt(local.split(':')[1] ?? '', 16), inode }] : [];
    });
  });
}

/** How a thread stands. */
export interface ThreadFacts {
  /** `R` on a core or ready for one, `S` asleep, `D` asleep in the kernel, `T` stopped, `t` traced. */
  readonly state: string;
  /** Time on a core, and waiting for one, so far. Milliseconds. */
  readonly cpuMillis: number;
  readonly queuedMillis: number;
  /** In which function of the kernel it sleeps, and the number of the system call, where that may be known. */
  readonly waitsIn: string | undefined;
  readonly systemCall: string | undefined;
}

/** Its main thread, which has its id. */
export function mainThreadOf(pid: number): ThreadFacts | undefined {
  const task = `${pid}/task/${pid}`;
  const stat = statOf(task);
  if (stat === undefined) return undefined;
  const [cpu = 0, queued = 0] = (read(`${task}/schedstat`) ?? '').split(' ').map(Number);
  const waitsIn = read(`${task}/wchan`)?.trim();
  const systemCall = /^\d+/.exec(read(`${task}/syscall`) ?? '')?.[0];
  return {
    state: stat.state,
    cpuMillis: cpu / 1e6,
    queuedMillis: queued / 1e6,
    waitsIn: waitsIn === '0' || waitsIn === '' ? undefined : waitsIn,
    systemCall: systemCall && nameOfCall(Number(systemCall)),
  };
}

/** Those that the main thread of a Node.js process sleeps in; https://github.com/torvalds/linux/tree/master/arch */
const CALLS: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  x64: {
    0: 'read',
    1: 'write',
    7: 'poll',
    35: 'nanosleep',
    42: 'connect',
    45: 'recvfrom',
    61: 'wait4',
    72: 'fcntl',
    73: 'flock',
    202: 'futex',
    230: 'clock_nanosleep',
    232: 'epoll_wait',
    257: 'openat',
    281: 'epoll_pwait',
  },
  arm64: {
    22: 'epoll_pwait',
    25: 'fcntl',
    32: 'flock',
    56: 'openat',
    63: 'read',
    64: 'write',
    73: 'ppoll',
    98: 'futex',
    101: 'nanosleep',
    115: 'clock_nanosleep',
    203: 'connect',
    207: 'recvfrom',
    260: 'wait4',
  },
};

function nameOfCall(number: number): string {
  return CALLS[process.arch]?.[number] ?? `${number}`;
}

/**
 * The version in the binary of a Node.js, without its being run: from where the headers to it are to be had. Undefined
 * where it is another program, or of somebody who has left that out.
 */
export function versionIn(pid: number): { readonly isNode: boolean; readonly version: string | undefined } {
  let descriptor: number;
  try {
    descriptor = openSync(`${PROC}/${pid}/exe`, 'r');
  } catch {
    return { isNode: false, version: undefined };
  }
  try {
    const bytes = Buffer.alloc(4 * 1024 * 1024);
    const overlap = 128;
    let isNode = false;
    let kept = 0;
    for (let position = 0; ; ) {
      const length = readSync(descriptor, bytes, kept, bytes.length - kept, position);
      if (length === 0) return { isNode, version: undefined };
      position += length;
      const part = bytes.subarray(0, kept + length);
      // What it prints when its inspector opens; others have an inspector as well, but say something else.
      isNode ||= part.includes('https://nodejs.org/en/docs/inspector') || part.includes('https://nodejs.org/learn/');
      const at = part.indexOf('-headers.tar.gz');
      const version =
        at < 0 ? undefined : /\/node-(v\d+\.\d+\.\d+)$/.exec(part.toString('latin1', Math.max(at - 64, 0), at));
      if (version) return { isNode: true, version: version[1] };
      kept = Math.min(overlap, part.length);
      part.copy(bytes, 0, part.length - kept);
    }
  } catch {
    return { isNode: false, version: undefined };
  } finally {
    closeSync(descriptor);
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(`${PROC}/${path}`, 'latin1');
  } catch {
    return undefined;
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(`${PROC}/${path}`);
  } catch {
    return undefined;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(`${PROC}/${path}`);
  } catch {
    return [];
  }
}
