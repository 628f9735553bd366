// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeSync } from 'node:fs';
import { extentIn, isLongOver } from '../../block/extent-in.js';
import * as semconv from '../../semconv.js';
import { toSeconds } from '../../system/seconds.js';
import type { PublishedSpan } from '../../system/shared-memory.js';
import type { CodeLocation, StackPaths } from '../../types.js';
import { PACKAGE_NAME, PACKAGE_VERSION } from '../../version.js';
import { codeAttributes } from '../../words/code.js';
import { entryAttributes, type PlainEntry } from '../../words/entry.js';
import { outwardLocation } from '../../words/paths.js';
import { describeHang } from '../../words/sentence.js';
import type { SentSample, Signal } from '../messages.js';
import { forgetExporters, prepare, send } from './exporters.js';
import type { Attributes, ExportedLog, ExportedSpan } from './items.js';
import { resolveLocation } from './source-maps.js';

const SEVERITY_ERROR = 17;
const KIND_INTERNAL = 0;
const SAMPLED = 1;

/** What is known of a hang while it lasts. */
export interface Hang {
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number;
  /** What the last look saw; undefined where native code keeps the thread from answering. */
  readonly sample: SentSample | undefined;
  /** Where it is, by all looks; undefined where `sample` is. */
  readonly location: CodeLocation | undefined;
  /** The span that runs, as the main thread last published it. */
  readonly running: PublishedSpan | undefined;
  /** Whether the program still starts. */
  readonly isStarting: boolean;
}

export interface Resource {
  readonly attributes: Attributes;
  readonly schemaUrl?: string | undefined;
}

/**
 * How often the state of a thread is read, and how far apart: one that runs sleeps for a moment now and then, where it
 * answers a look, or waits for V8's own threads. An odd number, and milliseconds.
 */
const STATE_READS = 5;
const STATE_PAUSE_MILLIS = 2;
const pause = new Int32Array(new SharedArrayBuffer(4));

/** Speaks in place of the thread that cannot: over OTLP, and on stderr for those without a collector. */
export class HangReporter {
  /** The application's own, once it has told. */
  private _resource: Resource | undefined;
  private _defaultResource: Resource = { attributes: resourceFromEnvironment() };
  /** What leaves the process; the line on stderr always does. */
  private _signals: readonly Signal[] = [];

  constructor(
    private readonly _resolveFrom: readonly string[],
    private readonly _stackPaths: StackPaths,
    /** See `threadFolder()`. */
    private readonly _threadFolder: string | undefined,
    /** Undefined for the main thread. */
    private readonly _workerThreadId: number | undefined,
  ) {}

  /** Loads one of the exporters that a report takes. Returns whether there was one to load. */
  prepare(): boolean {
    return prepare(this._signals, this._resolveFrom);
  }

  /** Never rejects. Resolved once the report has left, or could not within its time. */
  async report(hang: Hang): Promise<void> {
    const span = hang.sample ? hang.sample.span : hang.running;
    const location = hang.location && outwardLocation(resolveLocation(hang.location), this._stackPaths);
    const endedAt = Date.now();
    const state = stateOf(this._threadFolder);
    const entry = span && entryIn(span);
    const threadId = this._workerThreadId;
    const millis = endedAt - hang.startedAt;
    const body = describeHang(millis, hang.isStarting, span?.name, location, state, entry?.name, threadId);
    writeLine(body, span);

    const hangSpanId = randomHex(8);
    const hanging = span && { traceId: span.traceId, spanId: span.spanId, traceFlags: SAMPLED };
    // A timer that was made long ago, in a request that is over.
    const isOver = isLongOver(hang.sample?.span?.endTimeMillis, hang.startedAt);
    const parent = isOver ? undefined : hanging;
    const traceId = parent?.traceId ?? randomHex(16);
    const attributes: Attributes = {
      [semconv.ATTR_HANG_DURATION]: toSeconds(millis),
      ...(state && { [semconv.ATTR_HANG_THREAD_STATE]: state }),
      ...(threadId !== undefined && { [semconv.ATTR_THREAD_ID]: threadId }),
      ...(entry && entryAttributes(entry)),
      ...(location && codeAttributes(location)),
    };
    const common = { resource: this._resourceForExport(), instrumentationScope: SCOPE, attributes };
    const whole = { startTimeMillis: hang.startedAt, endTimeMillis: endedAt };
    // The last beat was before the span that hangs now, which will end when it comes back.
    const extent = span ? extentIn(whole, span.startTimeMillis, undefined, endedAt) : whole;
    const hangSpan: ExportedSpan = {
      ...common,
      name: semconv.SPAN_HANG,
      kind: KIND_INTERNAL,
      spanContext: () => ({ traceId, spanId: hangSpanId, traceFlags: SAMPLED }),
      parentSpanContext: parent,
      startTime: toHrTime(extent.startTimeMillis),
      endTime: toHrTime(extent.endTimeMillis),
      duration: toHrTime(extent.endTimeMillis - extent.startTimeMillis),
      status: { code: 0 },
      ended: true,
      links: isOver && hanging ? [{ context: hanging }] : [],
      events: [],
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };

    const hangLog: ExportedLog = {
      ...common,
      eventName: semconv.EVENT_HANG,
      severityNumber: SEVERITY_ERROR,
      severityText: 'ERROR',
      body,
      hrTime: toHrTime(endedAt),
      hrTimeObserved: toHrTime(endedAt),
      // In the span that hangs, as a block's log event is; the hang span is its child.
      spanContext: hanging ?? { traceId, spanId: hangSpanId, traceFlags: SAMPLED },
      droppedAttributesCount: 0,
    };
    await send({ traces: hangSpan, logs: hangLog }, this._signals, this._resolveFrom);
  }

  /** In the first turn of the loop no message comes. */
  learn({ signals, resource }: NonNullable<SentSample['sdk']>): void {
    this._signals = signals;
    this._resource ??= resource;
  }

  learnSignals(signals: readonly Signal[]): void {
    this._signals = signals;
  }

  learnResource(resource: Resource): void {
    this._resource = resource;
  }

  /** It is another one than before. */
  readEnvironment(): void {
    this._defaultResource = { attributes: resourceFromEnvironment() };
    forgetExporters();
  }

  private _resourceForExport(): ExportedSpan['resource'] {
    const { attributes, schemaUrl } = this._resource ?? this._defaultResource;
    return { attributes, schemaUrl, asyncAttributesPending: false, getRawAttributes: () => Object.entries(attributes) };
  }
}

/** `node:crypto` only now: each thread loads it for itself, and most programs never hang. */
function randomHex(bytes: number): string {
  return process.getBuiltinModule('node:crypto').randomBytes(bytes).toString('hex');
}

const SCOPE = { name: PACKAGE_NAME, version: PACKAGE_VERSION };

/** Of a span as it was published the name of its request is all that is known. */
function entryIn({ entry }: NonNullable<SentSample['span']> | PublishedSpan): PlainEntry | undefined {
  return typeof entry === 'string' ? { name: entry } : entry;
}

/** Straight to the descriptor: a worker's `process.stderr` passes through the thread that is stuck. */
function writeLine(body: string, span: Pick<PublishedSpan, 'traceId' | 'spanId'> | undefined): void {
  try {
    const ids = span ? ` (trace ${span.traceId}, span ${span.spanId})` : '';
    writeSync(2, `${PACKAGE_NAME}: ${body}${ids}\n`);
  } catch {
    // Closed, or a full pipe that nobody reads.
  }
}

/** Whether the thread of `folder` uses a core or waits for something; undefined where the operating system does not tell. */
function stateOf(folder: string | undefined): 'running' | 'sleeping' | undefined {
  if (folder === undefined) return undefined;
  try {
    let running = 0;
    for (let i = 0; i < STATE_READS; i++) {
      if (i > 0) Atomics.wait(pause, 0, 0, STATE_PAUSE_MILLIS);
      // It follows the name, which is in parentheses.
      if (/\) R/.test(readFileSync(`${folder}/stat`, 'latin1'))) running++;
    }
    return running > STATE_READS / 2 ? 'running' : 'sleeping';
  } catch {
    return undefined;
  }
}

function resourceFromEnvironment(): Attributes {
  const attributes: Attributes = { 'service.name': `unknown_service:${process.argv0}` };
  for (const pair of (process.env.OTEL_RESOURCE_ATTRIBUTES ?? '').split(',')) {
    const [key, value] = pair.split('=');
    if (key && value !== undefined) attributes[key.trim()] = decodeURIComponentSafely(value.trim());
  }
  if (process.env.OTEL_SERVICE_NAME) attributes['service.name'] = process.env.OTEL_SERVICE_NAME;
  return attributes;
}

function decodeURIComponentSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function toHrTime(millis: number): [number, number] {
  const seconds = Math.floor(millis / 1000);
  return [seconds, Math.round((millis - seconds * 1000) * 1e6)];
}
