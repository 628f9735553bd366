// SPDX-License-Identifier: Apache-2.0
import { subscribe } from 'node:diagnostics_channel';
import { basename } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { environmentName, resolveConfig } from '../config.js';
import { culpritOf, RateLimit } from '../report/rate-limit.js';
import { CHANNEL_START_UP } from '../semconv.js';
import type { StartUpTime } from '../types.js';
import { PACKAGE_NAME } from '../version.js';
import { describeStartUp } from '../words/sentence.js';
import { whenExiting } from './exit.js';
import type { Finding } from './finding.js';
import { Findings } from './findings.js';
import { Interrupt } from './interrupt.js';
import { debugOptions } from './options.js';
import { paragraph, styleFor } from './paragraph.js';
import { mapBlock } from './prepared-stack.js';
import { Stderr } from './stderr.js';
import { Summary } from './summary.js';
import { describeTrace, TraceFile } from './trace-file.js';
import { GuardVerdict } from './verdict.js';

/** Package managers only start the program: with NODE_OPTIONS in front of them it is not them who are to be watched. */
const STARTERS = /^(?:npm|npx|pnpm|pnpx|yarn(?:-[\d.]+)?|yarnpkg|corepack)(?:-cli)?(?:\.[cm]?js)?$/;
/** So long a block has to last before SIGTERM ends the process at once, without a word. Milliseconds. */
const TERM_PATIENCE_MILLIS = 30_000;

/** Prints blocks from now on, and at exit what they come to. Never throws. */
export function startDebug(): void {
  if (STARTERS.test(basename(process.argv[1] ?? ''))) return;
  const stderr = new Stderr();
  const style = styleFor(stderr.hasColors);
  const say = (message: string): void => stderr.write(`${PACKAGE_NAME}: ${message}\n`);

  const { failOverMillis, traceFile, countLoading } = debugOptions(process.env, say);
  // Blocking work belongs into a thread; where there is a limit, it holds there as well.
  if (!isMainThread && failOverMillis === undefined) return;
  // Bad values are told where the instrumentation looks at them.
  const limit = new RateLimit(resolveConfig({}, process.env, () => {}).maxBlocksPerMinute);
  const trace = traceFile === undefined || !isMainThread ? undefined : openTrace(traceFile, say);
  const summary = new Summary();
  const guard =
    failOverMillis === undefined ? undefined : new GuardVerdict({ failOverMillis, traceFile, countLoading });

  const onFinding = (finding: Finding): void => {
    // Each test tells of its own.
    if (findings.areTestsGuarded) return;
    const { loading } = finding;
    const block = mapBlock(finding.block, Error.prepareStackTrace as never);
    summary.add(block, loading);
    guard?.add({ ...finding, block });
    const suppressed = limit.pass(culpritOf(block));
    if (suppressed === undefined) return;
    if (suppressed.count > 0)
      say(`${suppressed.count} blocks were not printed (${environmentName('maxBlocksPerMinute')})`);
    stderr.write(paragraph(block, style));
  };

  subscribe(CHANNEL_START_UP, (message) => {
    try {
      stderr.write(`${describeStartUp(message as StartUpTime)}\n`);
    } catch (error) {
      say(`failed to print the start-up: ${error}`);
    }
  });

  let isOver = false;
  const sayLast = (): void => {
    if (isOver) return;
    isOver = true;
    try {
      stderr.write(summary.text(style));
      if (trace) say(closeTrace(trace));
      for (const line of guard?.lines() ?? []) say(line);
      stderr.end();
    } catch (error) {
      say(`failed to print the summary: ${error}`);
    }
  };

  const findings = Findings.get(failOverMillis ?? Number.POSITIVE_INFINITY, say);
  if (!isMainThread) {
    // A thread that is through is terminated, and gets no signal: what was a block is told at once.
    const cut = (): void => findings.cut();
    const onIteration = (isBlock: boolean): void => {
      if (isBlock) process.nextTick(cut);
    };
    findings.listeners.add({ onFinding, onIteration });
    process.once('exit', sayLast);
    return;
  }
  whenExiting(
    () => {
      sayLast();
      return guard?.exitCode ?? 0;
    },
    () => findings.cut(),
  );
  const flushAndSayLast = (): void => {
    findings.cut();
    sayLast();
  };
  const signals = [new Interrupt('SIGINT', 0, flushAndSayLast)];
  if (guard) signals.push(new Interrupt('SIGTERM', TERM_PATIENCE_MILLIS, flushAndSayLast));
  findings.listeners.add({
    onFinding,
    onIteration: (isBlock) => {
      for (const signal of signals) signal.listen();
      trace?.events.onIteration(isBlock);
    },
    onLook: () => {
      for (const signal of signals) signal.letGo();
    },
    onSlice: (...slice) => trace?.events.onSlice(...slice),
    onStackSample: (...sample) => trace?.events.onStackSample(...sample),
  });
}

function openTrace(path: string, say: (message: string) => void): TraceFile | undefined {
  try {
    return new TraceFile(path);
  } catch (error) {
    say(`no trace file: ${(error as Error).message}`);
    return undefined;
  }
}

function closeTrace(trace: TraceFile): string {
  const failure = trace.close();
  return describeTrace(trace.path, trace.events.dropped, failure?.message);
}
