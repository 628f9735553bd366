// SPDX-License-Identifier: Apache-2.0
import type { SampledFrame, StackSample } from '../model.js';
import { fromUserCode, type RawStack } from './look.js';

/** A look at the blocked thread, and what is known of when it was made. Times are `now()`. */
export interface Look extends RawStack {
  readonly loopCount: number;
  /** Number of the callback that it found, and of the callback, tick or promise job; see `jobsOf`. */
  readonly callback: number;
  readonly job: number;
  /** Whether JavaScript ran when it was asked for; else a native call had to return first. */
  readonly isPrompt: boolean;
  /** The look before it, or the last beat. */
  readonly since: number;
  readonly askedAt: number;
  readonly at: number;
}

/**
 * What a look vouches for. One that was answered at once stands for the time since the look before. One that came late
 * was held up by a native call, whose callers it shows; that call may have begun only just before it was asked for: of
 * the time ahead of that it says no more than it has in common with the look before, and where there was none in the
 * same callback, that the caller was there.
 *
 * @param before the look before it, if there was one.
 */
export function samplesOf(look: Look, before: Look | undefined): StackSample[] {
  const { loopCount, callback, job, isCut, outer, isPrompt, since, askedAt, at } = look;
  const known = before?.loopCount === loopCount && before.job === job ? before : undefined;
  const shared = known && sharedFrames(look.frames, known.frames);
  const frames = withoutNew(look, shared);
  const stack = fromUserCode(frames);
  const sample = { loopCount, callback, isCut, outer, isCertain: false } as const;
  if (isPrompt) return [{ ...sample, stack, accuracy: 'during', from: since, until: at }];
  const heldUp = {
    ...sample,
    stack,
    accuracy: 'after',
    isCertain: true,
    from: Math.max(askedAt, since),
    until: at,
  } as const;
  const outside = fromUserCode(shared ?? frames.slice(frames.indexOf(stack[0] as SampledFrame) + 1));
  // Where there is no caller it is the callback itself.
  const earlier = outside.length > 0 || shared !== undefined ? outside : stack;
  return [heldUp, { ...sample, stack: earlier, accuracy: 'after', from: since, until: heldUp.from }];
}

/**
 * Without a function that had only just been entered: the time was spent ahead of that. Unless the look before had found
 * it as well: it is called over and over.
 */
function withoutNew({ frames, justEntered, isPrompt }: Look, shared: readonly SampledFrame[] | undefined) {
  if (!justEntered || shared?.length === frames.length) return frames;
  const callers = frames.slice(1);
  return isPrompt && fromUserCode(callers).length === 0 ? frames : callers;
}

/** The calls, from the outermost in, that are in both. */
function sharedFrames(frames: readonly SampledFrame[], others: readonly SampledFrame[]): readonly SampledFrame[] {
  let count = 0;
  while (
    count < Math.min(frames.length, others.length) &&
    frames[frames.length - 1 - count]?.functionKey === others[others.length - 1 - count]?.functionKey
  ) {
    count++;
  }
  return frames.slice(frames.length - count);
}
