// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it, vi } from 'vitest';

/** As Node.js 26.12 has them, and later ones. */
class TickObject {
  args = undefined;
  constructor(readonly callback: () => void) {}
}
const before = { callback: () => {}, args: undefined };
const since = new TickObject(() => {});
/** Of a native addon. */
const plain = { callback: () => {} };

describe.each([
  ['before 26.12', before],
  ['since', since],
])('a tick of Node.js %s', (_, tick) => {
  it('is told from whatever else has a callback, which comes first or behind it', async () => {
    vi.resetModules();
    const { isTick } = await import('../../src/hooks/current-resource.js');
    const others = [
      plain,
      { args: [] },
      new (class Other {
        args = [];
        callback = () => {};
      })(),
      Object.create(null),
    ];
    for (const other of others) expect(isTick(other)).toBe(false);
    expect(isTick(tick)).toBe(true);
    expect(isTick(tick)).toBe(true);
    for (const other of others.slice(1)) expect(isTick(other)).toBe(false);
  });
});
