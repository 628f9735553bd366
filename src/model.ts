// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';
import type { Block, StackFrame } from './types.js';

/** What travels from room to room. What leaves the process of it, the `Block` above all, is in `types.ts`. */

/** Below this an iteration is not told of: its time counts as a wait of 0. Milliseconds. */
export const MIN_BUSY_MILLIS = 1;

/** What a span's attributes say of the blocks that it was blamed for. Microseconds. */
export interface BlameRecord {
  count: number;
  sumMicros: number;
  maxMicros: number;
  /** The iteration whose block was last counted, so that it is not counted twice. */
  iteration: number;
}

/** What a span had to wait for while others blocked the loop. Microseconds. */
export interface StallRecord {
  count: number;
  sumMicros: number;
  isUpperBound: boolean;
  /** The stretch of blocks behind which it last ran, and until when it did. */
  stretch: number;
  ranUntil: number;
  /** Blocks that it waited for and is not yet linked to. */
  unlinked: OpenBlock[];
}

/** What a server's instrumentation puts into the context of a request; whoever finds the route of that writes it here. */
export interface RequestMetadata {
  readonly span?: Span;
  readonly route?: unknown;
}

/** What the loop spent on one span, or on code under none. Valid as long as the call lasts that hands it over. */
export interface SpanShare {
  /** Undefined for everything that ran under no span, and for native code between callbacks. */
  readonly span: Span | undefined;
  /** Own synchronous time inside the iteration {@link iteration}, in microseconds; its children's is not in it. */
  readonly shareMicros: number;
  readonly iteration: number;
  /** The same over the span's life. */
  readonly totalMicros: number;
  /** Of the request that it is part of, where its context says. */
  readonly request?: RequestMetadata | undefined;
  /**
   * Left here by who marks spans. In a WeakMap, thousands of spans behind one block would cost 2.5 µs of garbage
   * collection each. Made when the span is first blamed.
   */
  blame: BlameRecord | undefined;
  /** Made when the span first runs in a block or in the backlog behind it. */
  stall: StallRecord | undefined;
}

/** An iteration of the loop that was busy for at least the block threshold, or is so far. */
export interface Iteration {
  /** Its number, as libuv counts. */
  readonly loopCount: number;
  /** When it ended, on the clock of `now()`. */
  readonly endedAt: number;
  readonly busyMicros: number;
  /** How long there had been a backlog of earlier blocks when it began; 0 where there was none. */
  readonly startMicros: number;
  /** Iterations since that of the first of them. */
  readonly startTurn: number;
  /** Of everything that ran in the iteration, in no order. */
  readonly shares: readonly SpanShare[];
  /** How many callbacks ran in it; 0 where they are not followed. */
  readonly callbacks: number;
  /** Whether it was followed whose time it was. Else it is nobody's, and who waited for it is not known. */
  readonly isExact: boolean;
  /** Time that was over before anybody followed it, and whose it is taken for: whose code ran when that began. */
  readonly head?: { readonly share: SpanShare; readonly micros: number } | undefined;
  /** Kind of callback that took most of it, where that is followed. */
  readonly asyncResource?: string | undefined;
}

/** A block from the moment on in which it is one: the same object, however much it grows and is learnt of it. */
export interface OpenBlock {
  readonly block: Block;
}

/** What a frame can be by itself, whatever it is called by. */
export type FrameRole = 'loader' | 'module caller' | 'internal' | 'plumbing' | 'code';

/** A frame, and which function it is a call of: many have no name, or the same. */
export interface SampledFrame extends StackFrame {
  readonly functionKey: string;
  readonly role?: FrameRole;
  /** Whether it only passes calls on. */
  readonly isPlumbing?: boolean;
}

/** What the watchdog saw of the blocked thread in one look, as evidence of a stretch of time. */
export interface StackSample {
  /** `loopCount` of the iteration that it looked at. */
  readonly loopCount: number;
  /** Number of the callback that it looked at; see `Slot.Callbacks`. */
  readonly callback: number;
  /** From the first frame of the application outwards; empty where nothing certain was seen. */
  readonly stack: readonly SampledFrame[];
  /** Whether the stack had more frames than were read. */
  readonly isCut: boolean;
  /** The application's own of those that were not. */
  readonly outer?: readonly SampledFrame[];
  readonly accuracy: 'during' | 'after';
  /** Whether it was there throughout: a native call that it made took all the time. */
  readonly isCertain: boolean;
  /** The stretch that it vouches for: mostly the time since the sample before. On the clock of `now()`. */
  readonly from: number;
  readonly until: number;
}

/**
 * Told what was seen of the blocked thread, where that is known only behind the block.
 *
 * @param pausedMillis how long at most the thread was held up by who looks, and not by the application.
 */
export type OnSeen = (samples: readonly StackSample[], pausedMillis: number) => void;

/** Where the time of a block went, as far as that is known. Milliseconds. */
export interface Evidence {
  readonly durationMillis: number;
  /** Of the blocked thread on a core; undefined where that cannot be had. */
  readonly cpuMillis: number | undefined;
  /** Of the blocked thread, ready to run but without a core; undefined where the operating system does not tell. */
  readonly queuedMillis: number | undefined;
  /** In which the garbage collector stopped the thread. */
  readonly gcMillis: number;
  /** By which the watchdog's thread was late as well: the whole process was stopped. Undefined without a watchdog. */
  readonly bothLateMillis: number | undefined;
  /** That the hypervisor may have taken, at most; it looks like sleep. 0 where the operating system does not tell. */
  readonly stolenMillis: number;
}
