// SPDX-License-Identifier: Apache-2.0
import { subscribe } from 'node:diagnostics_channel';
import type { DiagLogger } from '@opentelemetry/api';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { environmentName, resolveConfig } from '../config.js';
import { setDebugSink } from '../debug-sink.js';
import { PreloadedInstrumentation } from '../preload.js';
import { RateLimit } from '../report/rate-limit.js';
import { CHANNEL_BLOCK, CHANNEL_START_UP } from '../semconv.js';
import type { Block, StartUpTime } from '../types.js';
import { PACKAGE_NAME } from '../version.js';
import { describeBlock, describeStartUp } from '../words/sentence.js';
import { whenExiting } from './exit.js';
import { Interrupt } from './interrupt.js';
import { debugOptions } from './options.js';
import { paragraph, styleFor } from './paragraph.js';
import { Stderr } from './stderr.js';
import { Summary } from './summary.js';
import { TraceFile } from './trace-file.js';

/** Prints blocks from now on, and at exit what they come to. Never throws. */
export function startDebug(): void {
  const stderr = new Stderr();
  const style = styleFor(stderr.hasColors);
  const say = (message: string): void => stderr.write(`${PACKAGE_NAME}: ${message}\n`);

  const { failOverMillis, traceFile } = debugOptions(process.env, say);
  // Bad values are told where the instrumentation looks at them.
  const limit = new RateLimit(resolveConfig({}, process.env, () => {}).maxBlocksPerMinute);
  const trace = traceFile === undefined ? undefined : openTrace(traceFile, say);
  const summary = new Summary();
  let worst: Block | undefined;

  const onBlock = (block: Block): void => {
    summary.add(block);
    const failed = failOverMillis !== undefined && block.durationMillis > failOverMillis;
    if (failed && block.durationMillis > (worst?.durationMillis ?? 0)) worst = block;
    const suppressed = limit.pass();
    if (suppressed === undefined) return;
    if (suppressed > 0) say(`${suppressed} blocks were not printed (${environmentName('maxBlocksPerMinute')})`);
    stderr.write(paragraph(block, style));
  };
  subscribe(CHANNEL_BLOCK, (message) => {
    try {
      onBlock(message as Block);
    } catch (error) {
      // Thrown here it would become an uncaught exception of the application's.
      say(`failed to print a block: ${error}`);
    }
  });

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
      if (worst) {
        say(`failed, over ${failOverMillis} ms: ${describeBlock(worst)}`);
      }
      stderr.end();
    } catch (error) {
      say(`failed to print the summary: ${error}`);
    }
  };
  whenExiting(() => {
    sayLast();
    return worst ? 1 : 0;
  });
  const interrupt = new Interrupt(() => {
    instrumentation.flush();
    sayLast();
  });

  setDebugSink({
    maxThresholdMillis: failOverMillis ?? Number.POSITIVE_INFINITY,
    onSlice: (...slice) => trace?.onSlice(...slice),
    onIteration: (isBlock) => {
      interrupt.listen();
      trace?.onIteration(isBlock);
    },
    onStackSample: (...sample) => {
      interrupt.letGo();
      trace?.onStackSample(...sample);
    },
  });

  const log: DiagLogger = { ...QUIET, error: say, warn: say };
  // Without an SDK nobody listens to `diag`. A class, because the base constructor asks for it already.
  class DebugInstrumentation extends PreloadedInstrumentation {
    protected override _log(): DiagLogger {
      return log;
    }

    /** Asked for by name, and without an SDK: what switches that off does not switch off this. */
    protected override _whyNot(): undefined {}
  }
  const instrumentation = new DebugInstrumentation();
  registerInstrumentations({ instrumentations: [instrumentation] });
  if (!instrumentation.isEnabled()) say(`is off: ${environmentName('enabled')}`);
}

const QUIET: Pick<DiagLogger, 'info' | 'debug' | 'verbose'> = { info() {}, debug() {}, verbose() {} };

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
  if (failure) return `the trace file ${trace.path} is not whole: ${failure.message}`;
  const dropped = trace.dropped > 0 ? `, without ${trace.dropped} events that were too many` : '';
  return `trace written to ${trace.path}${dropped}`;
}
