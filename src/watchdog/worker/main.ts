// SPDX-License-Identifier: Apache-2.0
import { parentPort, workerData } from 'node:worker_threads';
import { processClock, SharedMemory } from '../../system/shared-memory.js';
import { threadTimeReaderOf } from '../../system/thread-time.js';
import type { FromWorker, ToWorker, WorkerData } from '../messages.js';
import { HangReporter } from './hang-report.js';
import { Inspector } from './inspector.js';
import { Lookout } from './lookout.js';
import { ProfileLooks } from './profile-looks.js';
import { filesWithoutMap, resolveFrames } from './source-maps.js';

const data = workerData as WorkerData;
const tell = (message: FromWorker): void => parentPort?.postMessage(message);
/** The watched thread's. */
const watchedNow = (): number => processClock() + data.clockOffset;

const memory = new SharedMemory(data.memory);
const threadTime = threadTimeReaderOf(data.threadFolder);
const queuedMillis = (): number => threadTime?.()?.queuedMillis ?? 0;
const onBlind = (reason: string): void => tell({ type: 'blind', reason });
const profiles =
  data.profiledSince !== undefined && data.workerThreadId !== undefined
    ? new ProfileLooks(data.workerThreadId, data.profiledSince, memory, watchedNow, data.ownFolder, onBlind)
    : undefined;
const looker = profiles ?? new Inspector(memory, watchedNow, queuedMillis, onBlind);
const reporter = new HangReporter(data.resolveFrom, data.stackPaths, data.threadFolder, data.workerThreadId);
const lookout = new Lookout(data, memory, watchedNow, queuedMillis, looker, reporter, tell);

parentPort?.on('message', (message: ToWorker) => {
  if (message.type === 'resource') {
    reporter.learnResource(message);
  } else if (message.type === 'signals') {
    reporter.learnSignals(message.signals);
  } else if (message.type === 'environment') {
    for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
    Object.assign(process.env, message.variables);
    reporter.readEnvironment();
  } else if (message.type === 'seen') {
    const { id, from, until } = message;
    profiles?.seen(from, until, (samples, pausedMillis) => tell({ type: 'seen', id, samples, pausedMillis }));
  } else {
    const { id, frames } = message;
    tell({ type: 'mapped', id, frames: resolveFrames(frames), withoutMap: filesWithoutMap(frames) });
  }
});
// The port alone must not keep this thread running once it is told to stop.
parentPort?.unref();
// Either would end this thread at once, and with it, where a look is under way, now and then the process.
process.on('unhandledRejection', () => {});
process.on('uncaughtException', () => looker.leaveForGood());
lookout.start();
