// SPDX-License-Identifier: Apache-2.0
import { basename } from 'node:path';
import { factsOf, isPortTaken, listeningPorts, namespaceOf, type ProcessFacts, versionIn } from './proc.js';
import { Refusal } from './refusal.js';

/** SIGUSR1 in the mask of signals that a process catches. */
const SIGUSR1 = 1n << 9n;
/** Without `--inspect-port`. */
const DEFAULT_PORT = 9229;
/** From here on code that is evaluated can have the modules of Node.js: `process.getBuiltinModule()`. */
const FIRST = [
  [20, 18],
  [22, 8],
] as const;

/** A process that may be attached to. */
export interface Target extends ProcessFacts {
  /** As far as the binary tells. */
  readonly version: string | undefined;
  /** Where its inspector opens; 0 for any port that is free. */
  readonly inspectorPort: number;
  /** Whether its command line has opened it, on a port that need not be that one. */
  readonly isInspected: boolean;
}

/**
 * All that can be known without anything being sent: SIGUSR1 ends whatever does not expect it.
 *
 * @throws Refusal with the reason.
 */
export function checkTarget(pid: number): Target {
  if (process.platform !== 'linux')
    throw new Refusal(`what ${process.platform} says of a process is not enough: Linux only`);
  const facts = factsOf(pid);
  if (facts === undefined) throw new Refusal(`there is no process ${pid}`);
  const ownUid = process.getuid?.() ?? 0;
  if (ownUid !== 0 && facts.uid !== ownUid) {
    throw new Refusal(`process ${pid} is another user's (uid ${facts.uid}, not ${ownUid}): run this as that user`);
  }
  if (facts.executable === undefined) throw new Refusal(`process ${pid} may not be looked at: ptrace is not permitted`);
  const version = checkProgram(facts, facts.executable);
  checkNamespaces(facts);
  checkSignal(facts);
  const isInspected = optionsOf(facts.args, facts.nodeOptions).some((it) =>
    /^--inspect(?:-brk|-wait)?(?:=|$)/.test(it),
  );
  return { ...facts, version, inspectorPort: checkPort(facts), isInspected };
}

/** @returns its version, as far as that is known. */
function checkProgram({ pid }: ProcessFacts, executable: string): string | undefined {
  const name = basename(executable.replace(/ \(deleted\)$/, ''));
  if (/^(?:bun|deno)/.test(name)) {
    throw new Refusal(`process ${pid} is ${name}, not Node.js: it has no inspector that opens at a signal`);
  }
  const { isNode, version } = versionIn(pid);
  if (!isNode) throw new Refusal(`process ${pid} is no Node.js: it runs ${executable}`);
  if (version !== undefined) checkVersion(pid, version);
  return version;
}

/** @throws Refusal where it is too old. */
export function checkVersion(pid: number, version: string): void {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  if (FIRST.some(([from, least]) => major === from && minor >= least) || major > 22) return;
  throw new Refusal(`process ${pid} is Node.js ${version}; this takes 20.18, 22.8 or later`);
}

/** The inspector listens in the network of the process, under whose eyes it is found by its own id. */
function checkNamespaces({ pid, innerPid }: ProcessFacts): void {
  if (namespaceOf(pid, 'net') === namespaceOf('self', 'net')) return;
  const inner = innerPid === pid ? '' : `, where it is process ${innerPid}`;
  throw new Refusal(
    `process ${pid} is in a container${inner}: run this inside of it (kubectl exec, docker exec), as docs/attach.md says`,
  );
}

function checkSignal({ pid, caught, args, nodeOptions }: ProcessFacts): void {
  const options = optionsOf(args, nodeOptions);
  const isRestricted = options.some((it) => /^--(?:experimental-)?permission$/.test(it));
  if (isRestricted && !options.includes('--allow-inspector')) {
    throw new Refusal(`process ${pid} runs with --permission and without --allow-inspector: it has no inspector`);
  }
  if ((caught & SIGUSR1) === 0n) {
    throw new Refusal(
      `process ${pid} does not catch SIGUSR1, which would end it (--disable-sigusr1, or it has only just started)`,
    );
  }
}

function checkPort({ pid, args, nodeOptions }: ProcessFacts): number {
  const port = configuredPort(optionsOf(args, nodeOptions));
  if (port !== 0 && isPortTaken(pid, port) && !listeningPorts(pid).includes(port)) {
    throw new Refusal(`port ${port}, where the inspector of process ${pid} opens, is taken by another process`);
  }
  return port;
}

/** Options of Node.js: ahead of the program on its command line, and in `NODE_OPTIONS`. */
function optionsOf(args: readonly string[], nodeOptions: string): string[] {
  const [, ...rest] = args;
  const end = rest.findIndex((arg) => !arg.startsWith('-'));
  // An option with its value behind a space ends this too early; then what is behind it looks like the program's own.
  const own = rest.filter(
    (arg, i) => i < end || end < 0 || /^--(?:inspect|debug-port|permission|allow-inspector)/.test(arg),
  );
  return [...nodeOptions.split(/\s+/).filter(Boolean), ...own];
}

function configuredPort(options: readonly string[]): number {
  let port = DEFAULT_PORT;
  for (const [i, option] of options.entries()) {
    const [, name, value] =
      /^--(inspect|inspect-brk|inspect-wait|inspect-port|debug-port)(?:=(.*))?$/.exec(option) ?? [];
    const given = value ?? (name?.endsWith('-port') ? options[i + 1] : undefined);
    const [, digits] = /^(?:.*:)?(\d+)$/.exec(given ?? '') ?? [];
    if (digits !== undefined) port = Number(digits);
  }
  return port;
}
