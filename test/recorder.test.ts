// SPDX-License-Identifier: Apache-2.0
import { ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { expect, it } from 'vitest';
import { SliceRecorder } from '../src/loop/recorder.js';

it('bears a look of the watchdog while it gives a new span its tally', () => {
  const listener = {
    onIteration() {},
    onBusyIteration() {},
    onBlockSoFar() {},
    onSpanEnding() {},
    onRanBehind() {},
    onCaughtUp() {},
  };
  const recorder = new SliceRecorder(50, 20, listener, undefined);
  let looks = 0;
  // Asked in the midst of it, where V8 could serve an interrupt as well.
  const span = new Proxy({} as Span, {
    isExtensible(target) {
      looks++;
      if (looks === 1) recorder.witness(context);
      return Reflect.isExtensible(target);
    },
  });
  const context = trace.setSpan(ROOT_CONTEXT, span);
  recorder.start(undefined);
  recorder.enterContext(context);
  recorder.stop();
  expect(looks).toBe(1);
});
