// SPDX-License-Identifier: Apache-2.0
import { channel } from 'node:diagnostics_channel';
import { type Attributes, type DiagLogger, ROOT_CONTEXT } from '@opentelemetry/api';
import * as semconv from '../semconv.js';
import type { StackPaths, StartUpTime } from '../types.js';
import { codeAttributes } from '../words/code.js';
import { outwardLocation } from '../words/paths.js';
import { describeStartUp } from '../words/sentence.js';
import type { EventLogger } from './logs.js';

/** `SeverityNumber.INFO` of the logs data model. */
const SEVERITY_INFO = 9;

const startUpChannel = channel(semconv.CHANNEL_START_UP);

/** As a log event, on the diagnostics channel and, for who has neither, as a line of `diag`. */
export function emitStartUp(
  time: StartUpTime,
  paths: StackPaths,
  logger: EventLogger,
  diag: DiagLogger,
  endTimeMillis: number,
): void {
  const told = { ...time, location: time.location && outwardLocation(time.location, paths) };
  const body = describeStartUp(told);
  const attributes: Attributes = {
    [semconv.ATTR_START_UP_DURATION]: time.durationMillis / 1000,
    ...(told.location && codeAttributes(told.location)),
  };
  if (startUpChannel.hasSubscribers) startUpChannel.publish(time);
  diag.info(body);
  logger.emit({
    eventName: semconv.EVENT_START_UP,
    severityNumber: SEVERITY_INFO,
    severityText: 'INFO',
    timestamp: endTimeMillis,
    body,
    attributes,
    context: ROOT_CONTEXT,
  });
}
