// SPDX-License-Identifier: Apache-2.0
import { afterEach, expect, it } from 'vitest';
import { Interrupt } from '../../src/debug/interrupt.js';

// Nobody else listens to it, and nobody sends it.
const SIGNAL = 'SIGWINCH';

afterEach(() => {
  process.removeAllListeners(SIGNAL);
});

it('listens once, also where a look came in the midst of its beginning to', () => {
  const interrupt = new Interrupt(SIGNAL, 0, () => {});
  interrupt.letGo();
  process.once('newListener', () => interrupt.letGo());
  interrupt.listen();
  expect(process.listenerCount(SIGNAL)).toBe(0);
  interrupt.listen();
  interrupt.listen();
  expect(process.listenerCount(SIGNAL)).toBe(1);
  interrupt.letGo();
  expect(process.listenerCount(SIGNAL)).toBe(0);
});
