// SPDX-License-Identifier: Apache-2.0
import { basename } from 'node:path';
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import type { Span } from '@opentelemetry/api';
import type { SampledFrame, StackSample } from '../model.js';
import { nameOf } from '../otel/span-facts.js';
import { now } from '../system/clock.js';
import { processClock } from '../system/shared-memory.js';
import { placeOf } from './paragraph.js';
import { StackTrack } from './stack-track.js';

/** The tracks of the viewer. */
const LOOP = 1;
const GC = 2;
const STACKS = 3;

/** What nobody has taken is kept up to here; then events are dropped and counted. Characters. */
const MAX_BUFFERED = 8 * 1024 * 1024;
/** Chrome cannot open a file of more than 512 MB, and gets slow long before. Characters. */
const MAX_LENGTH = 256 * 1024 * 1024;
const MAX_SAMPLES = 10_000;
const MAX_SLICES_IN_ITERATION = 50_000;
/** Of a stack, from the function that ran outwards. */
const MAX_FRAMES = 64;

const GC_NAMES = new Map<number, string>([
  [constants.NODE_PERFORMANCE_GC_MINOR, 'GC minor'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'GC major'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'GC incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'GC weak callbacks'],
]);

/** Whole microseconds, so that the end of one event is exactly the start of the next and nesting survives rounding. */
interface Slice {
  readonly name: string;
  readonly asyncResource: string;
  readonly ts: number;
  end: number;
}

/**
 * The loop as a file in the Trace Event Format, an array of JSON objects that Perfetto and Chrome DevTools open:
 * iterations, the slices in them, samples and garbage collection. Taken piece by piece while the process runs; an array
 * without its end Perfetto accepts as well.
 *
 * Garbage collection has a track of its own: native code may be collecting where one of our slices ends, and events of
 * one track have to nest. Stacks have one as well: speedscope and others know nothing of samples, only of what lasts.
 */
export class TraceEvents {
  dropped = 0;

  private readonly _clockOffset = processClock() - now();
  private readonly _observer = new PerformanceObserver((list) => this._addPauses(list.getEntries()));

  private _text = '';
  private _takenLength = 0;

  private _slice: Slice | undefined;
  private _slices: string[] = [];
  private _iterationStart = -1;
  private _lastEnd = 0;
  private readonly _stacks = new StackTrack();
  private _samples: { readonly sample: StackSample; readonly at: number }[] = [];

  constructor() {
    const program = process.argv[1] === undefined ? '' : ` ${basename(process.argv[1])}`;
    this._text = `[\n${metadata('process_name', LOOP, `node${program}`)}`;
    this._append(metadata('thread_name', LOOP, 'event loop'));
    this._append(metadata('thread_name', GC, 'garbage collection'));
    this._append(metadata('thread_name', STACKS, 'stacks in blocks'));
    this._observer.observe({ entryTypes: ['gc'] });
  }

  onSlice(span: Span | undefined, asyncResource: string, startedAt: number, endedAt: number): void {
    const name = span ? nameOf(span) : asyncResource;
    const ts = Math.max(this._micros(startedAt), this._lastEnd);
    const end = Math.max(this._micros(endedAt), ts);
    const last = this._slice;
    this._lastEnd = end;
    if (last?.name === name && last.asyncResource === asyncResource && last.end === ts) {
      last.end = end;
      return;
    }
    this._endSlice();
    if (this._iterationStart < 0) this._iterationStart = ts;
    this._slice = { name, asyncResource, ts, end };
  }

  onIteration(isBlock: boolean): void {
    this._endSlice();
    if (this._slices.length > 0) {
      const name = isBlock ? 'block' : 'iteration';
      const dur = this._lastEnd - this._iterationStart;
      // Ahead of what is inside: viewers take the first of two that start at once for the outer one.
      this._append(JSON.stringify({ ph: 'X', name, pid: process.pid, tid: LOOP, ts: this._iterationStart, dur }));
      for (const slice of this._slices) this._append(slice);
      this._slices = [];
    }
    this._iterationStart = -1;
  }

  /** Inside the blocked code: only takes note. */
  onStackSample(sample: StackSample, at: number): void {
    if (this._samples.length < MAX_SAMPLES) this._samples.push({ sample, at });
    else this.dropped++;
  }

  /** What came since it was last asked. */
  take(): string {
    this._addSamples();
    return this._taken();
  }

  /** The same for the last time, with the end of the array. */
  takeLast(): string {
    this._addPauses(this._observer.takeRecords());
    this._observer.disconnect();
    this._addSamples(true);
    return `${this._taken()}\n]\n`;
  }

  private _taken(): string {
    const text = this._text;
    this._text = '';
    this._takenLength += text.length;
    return text;
  }

  private _micros(time: number): number {
    return Math.round((time + this._clockOffset) * 1000);
  }

  private _endSlice(): void {
    const slice = this._slice;
    this._slice = undefined;
    if (slice === undefined || slice.end === slice.ts) return;
    if (this._slices.length >= MAX_SLICES_IN_ITERATION) {
      this.dropped++;
      return;
    }
    const { name, asyncResource, ts, end } = slice;
    const args = { async_resource: asyncResource };
    this._slices.push(JSON.stringify({ ph: 'X', name, pid: process.pid, tid: LOOP, ts, dur: end - ts, args }));
  }

  private _addSamples(isLast = false): void {
    const samples = this._samples;
    this._samples = [];
    for (const { sample, at } of samples) {
      const { stack, accuracy } = sample;
      const name = stack[0] ? `probe: ${placeOf(stack[0])}` : 'probe';
      const args = { stack: stack.map(({ text }) => text), accuracy };
      const ts = this._micros(at);
      // "I" and not "i": DevTools knows no other, Perfetto knows both.
      this._append(JSON.stringify({ ph: 'I', s: 't', name, pid: process.pid, tid: LOOP, ts, args }));
      const names = stack.slice(0, MAX_FRAMES).map(nameOfFunction).reverse();
      if (names.length > 0) this._stacks.add(names, this._micros(sample.from), this._micros(sample.until));
    }
    // With nothing new, what there was is over.
    for (const { name, ts, dur } of this._stacks.take(isLast || samples.length === 0)) {
      this._append(JSON.stringify({ ph: 'X', name, pid: process.pid, tid: STACKS, ts, dur }));
    }
  }

  private _addPauses(entries: readonly PerformanceEntry[]): void {
    for (const entry of entries) {
      const { detail } = entry as { detail?: { kind?: number } };
      const name = GC_NAMES.get(detail?.kind ?? -1) ?? 'GC';
      const ts = this._micros(entry.startTime);
      const dur = this._micros(entry.startTime + entry.duration) - ts;
      this._append(JSON.stringify({ ph: 'X', name, pid: process.pid, tid: GC, ts, dur }));
    }
  }

  private _append(event: string): void {
    if (this._text.length > MAX_BUFFERED || this._takenLength > MAX_LENGTH) this.dropped++;
    else this._text += `,\n${event}`;
  }
}

function metadata(name: string, tid: number, value: string): string {
  return JSON.stringify({ ph: 'M', name, pid: process.pid, tid, ts: 0, args: { name: value } });
}

/** With the place where it begins: where it was seen is another one each time. */
function nameOfFunction(frame: SampledFrame): string {
  const { startLine = 0, startColumn = 0 } = frame;
  return placeOf(startLine > 0 ? { ...frame, lineNumber: startLine, columnNumber: startColumn } : frame);
}
