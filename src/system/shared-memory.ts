// SPDX-License-Identifier: Apache-2.0

/**
 * What the main thread and the watchdog tell each other without a message, since a blocked thread reads none: one
 * SharedArrayBuffer with a named slot for each thing, and after them a ring of the spans that ran last.
 */

/** V8 can be told to keep them from programs (`--no-harmony-atomics`, `--enable-sharedarraybuffer-per-context`). */
export const HAS_ATOMICS = typeof Atomics === 'object';
export const HAS_SHARED_MEMORY = HAS_ATOMICS && typeof SharedArrayBuffer === 'function';

/** Int32 slots. */
export const Slot = {
  /** Main → worker: 1 = leave, never look again. Set at exit and by disable(). */
  Stop: 0,
  /** Worker → main: 1 = an inspector session may be open. Exit waits for it, or Node.js waits for "the debugger". */
  SessionOpen: 1,
  /** Main → worker: 1 = a person is debugging; neither look nor report. */
  Debugged: 2,
  /** Main → worker: counts promise jobs and ticks as they begin; see {@link jobsOf}. */
  Jobs: 3,
  /** Worker → main: how many inspector sessions were opened so far. */
  Sessions: 4,
  /** Main → worker: above 0, what runs is allowed to block; neither look nor report. */
  Allowed: 5,
  /** See {@link Rest}. */
  Resting: 6,
  /** Worker → main: {@link jobsOf} when it asked for a look. */
  JobsAsked: 7,
  /** Main → worker: counts messages as they are sent, and wakes it to read them. */
  Messages: 8,
  /** Main → worker: 1 = the program still starts. */
  Starting: 9,
  /** Main → worker: counts callbacks of the event loop as they begin. */
  Callbacks: 10,
} as const;

/** What {@link Slot.Resting} says. Beats become rare only once the worker knows, or it would take them for late. */
export const Rest = {
  Over: 0,
  /** Main → worker: nothing but beats goes on. */
  Begun: 1,
  /** Worker → main: it waits for the end. */
  Noticed: 2,
} as const;

/** An even number, or the fields behind them would not be aligned. */
export const SLOTS = 12;

/** The number of the callback, tick or promise job that runs: another number, another one. */
export function jobsOf(slots: Int32Array): number {
  return ((slots[Slot.Jobs] as number) + (slots[Slot.Callbacks] as number)) | 0;
}

/**
 * Float64 slots: 64 bits at an aligned address are written in one piece. Times are milliseconds on the main thread's
 * clock.
 */
export const Field = {
  /** Main → worker: when the loop last turned to its beat. */
  BeatAt: 0,
  /** Main → worker: ticket of the span that runs now; 0 = none. */
  Running: 1,
  /** Worker → main: by how much its own thread was late so far, all in all. */
  WorkerLateMillis: 2,
  /** Worker → main: when it last woke; what it was late by until then is in the sum. */
  WorkerWokeAt: 3,
  /** Worker → main: when it asked for a look. */
  AskedAt: 4,
  /** Worker → main: for how long the main thread had stood without a core by then, all in all. */
  QueuedAsked: 5,
  /** Main → worker: so long after a beat the next is late enough to look. */
  LookAfterMillis: 6,
} as const;
const FIELDS = 7;

/** One entry of the ring: ticket, lengths, start, ids, name. */
const ENTRY_BYTES = 264;
const ENTRIES = 1024;
const HEADER_BYTES = SLOTS * 4 + FIELDS * 8;
const IDS_LENGTH = 32 + 16;
const START_OFFSET = 8;
const TEXT_OFFSET = 16;
const MAX_NAME = ENTRY_BYTES - TEXT_OFFSET - IDS_LENGTH;
/** Of the two lengths that stand in one slot: of ids and name, and above that of the name of the request. */
const LENGTH_BITS = 16;
const LENGTH_MASK = (1 << LENGTH_BITS) - 1;

/** The span that was published as the running one. */
export interface PublishedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
  /** Name of the request that it belongs to, where that is another span, and there was room for it. */
  readonly entry?: string;
  /** Milliseconds since the Unix epoch, where the span tells. */
  readonly startTimeMillis?: number;
}

export class SharedMemory {
  /** {@link Slot} by {@link Slot}. */
  readonly slots: Int32Array;
  /** {@link Field} by {@link Field}. */
  readonly fields: Float64Array;
  private readonly _entries: Int32Array;
  private readonly _starts: Float64Array;
  private readonly _text: Buffer;
  private _lastTicket = 0;

  constructor(readonly buffer = new SharedArrayBuffer(HEADER_BYTES + ENTRIES * ENTRY_BYTES)) {
    this.slots = new Int32Array(buffer, 0, SLOTS);
    this.fields = new Float64Array(buffer, SLOTS * 4, FIELDS);
    this._entries = new Int32Array(buffer, HEADER_BYTES);
    this._starts = new Float64Array(buffer, HEADER_BYTES);
    this._text = Buffer.from(buffer, HEADER_BYTES);
  }

  /** Whether what was published under `ticket` is still there. Per change of slice: two loads and a comparison. */
  holds(ticket: number): boolean {
    return ticket > this._lastTicket - ENTRIES;
  }

  /**
   * Writes a span into the ring, where it stays until {@link ENTRIES} others have come. Letter by letter: to join the
   * three and have them written by `Buffer` takes twice as long, most of it for the string in between.
   *
   * @param entryName the request that it belongs to, where that is another span.
   * @param startTimeMillis when it started, since the Unix epoch; 0 where that is not known.
   * @returns the ticket to put into {@link Field.Running} whenever the span runs; 0 for ids that are none.
   */
  publish(traceId: string, spanId: string, name: string, entryName = '', startTimeMillis = 0): number {
    if (traceId.length + spanId.length !== IDS_LENGTH) return 0;
    const ticket = ++this._lastTicket;
    const entry = (ticket % ENTRIES) * ENTRY_BYTES;
    this._entries[entry >> 2] = 0;
    this._starts[(entry + START_OFFSET) >> 3] = startTimeMillis;
    const at = entry + TEXT_OFFSET;
    this._writeAscii(traceId, traceId.length, at);
    this._writeAscii(spanId, spanId.length, at + traceId.length);
    const nameAt = at + IDS_LENGTH;
    let nameLength = Math.min(name.length, MAX_NAME);
    if (!this._writeAscii(name, nameLength, nameAt)) nameLength = this._text.write(name, nameAt, MAX_NAME, 'utf8');
    const entryAt = nameAt + nameLength;
    let entryLength = Math.min(entryName.length, MAX_NAME - nameLength);
    if (!this._writeAscii(entryName, entryLength, entryAt)) {
      entryLength = this._text.write(entryName, entryAt, MAX_NAME - nameLength, 'utf8');
    }
    this._entries[(entry >> 2) + 1] = (entryLength << LENGTH_BITS) | (IDS_LENGTH + nameLength);
    this._entries[entry >> 2] = ticket | 0;
    return ticket;
  }

  /** @returns false where it is not ASCII, and what was written is of no use. */
  private _writeAscii(text: string, length: number, at: number): boolean {
    let letters = 0;
    for (let i = 0; i < length; i++) {
      const letter = text.charCodeAt(i);
      letters |= letter;
      this._text[at + i] = letter;
    }
    return letters < 128;
  }

  /** The span that runs, as last published: all that is known while the main thread is stuck in native code. */
  runningSpan(): PublishedSpan | undefined {
    const ticket = this.fields[Field.Running] as number;
    if (ticket === 0) return undefined;
    const entry = (ticket % ENTRIES) * ENTRY_BYTES;
    const lengths = this._entries[(entry >> 2) + 1] as number;
    const length = lengths & LENGTH_MASK;
    const nameEnd = entry + TEXT_OFFSET + length;
    const text = this._text.toString('utf8', entry + TEXT_OFFSET, nameEnd);
    const entryName = this._text.toString('utf8', nameEnd, nameEnd + (lengths >> LENGTH_BITS));
    const startTimeMillis = this._starts[(entry + START_OFFSET) >> 3] as number;
    if (Atomics.load(this._entries, entry >> 2) !== (ticket | 0) || length < IDS_LENGTH) return undefined;
    return {
      traceId: text.slice(0, 32),
      spanId: text.slice(32, IDS_LENGTH),
      name: text.slice(IDS_LENGTH),
      ...(entryName !== '' && { entry: entryName }),
      ...(startTimeMillis > 0 && { startTimeMillis }),
    };
  }
}

/**
 * The clock that all threads of a process have in common, in milliseconds. `performance.now()` starts anew in each
 * thread; this one is read once per thread to find the difference.
 */
export function processClock(): number {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1e3 + nanos / 1e6;
}
