// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runFixture } from '../support/run-fixture.js';

const DIST = resolve(import.meta.dirname, '../../dist');

interface Seen {
  readonly off: Record<string, unknown>;
  readonly on: Record<string, unknown>;
  readonly after: Record<string, unknown>;
}
interface Output {
  readonly tapped: number;
  readonly own: Seen;
  readonly kinds: Record<string, Seen & { readonly isReplaced: boolean; readonly isBack: boolean }>;
}

describe.each(['cjs', 'esm'])('what we replace, loaded as %s', (door) => {
  // Ways in which a context manager keeps the context: in an AsyncLocalStorage as OpenTelemetry's own, or elsewhere.
  it.each(['als', 'plain'])('looks and behaves as it was: manager %s', async (manager) => {
    const run = await runFixture('wraps.cjs', { args: [door, manager] });
    expect(run.stderr).toBe('');
    const { tapped, own, kinds } = JSON.parse(run.stdout) as Output;
    expect(tapped).toBeGreaterThan(3);
    // Receiver, arguments, return value, throw, name, length, own properties, flags, `new.target`.
    expect(own.on).toEqual(own.off);
    expect(own.after).toEqual(own.off);
    for (const [label, { off, on, after, isReplaced, isBack }] of Object.entries(kinds)) {
      expect({ label, isReplaced, isBack }).toEqual({ label, isReplaced: true, isBack: true });
      expect({ label, ...on }).toEqual({ label, ...off });
      expect({ label, ...after }).toEqual({ label, ...off });
    }
  });
});

it('leaves the methods of process as they were with ./debug', async () => {
  const run = await runFixture('wraps.cjs', { args: ['debug'] });
  const { isReplaced, off, on } = JSON.parse(run.stdout);
  expect(isReplaced).toBe(true);
  expect(on).toEqual(off);
});

describe('the built files', () => {
  const files = readdirSync(DIST, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.cjs'));

  it.each(files)('%s is strict', (file) => {
    expect(readFileSync(join(DIST, file), 'utf8')).toMatch(
      /^(?:#!.*\n)?(?:\/\*![^*]*\*\/\s)?(?:"use strict"|'use strict');/,
    );
  });

  it('have a worker that is strict', () => {
    const [, source = ''] =
      readFileSync(join(DIST, 'instrumentation.cjs'), 'utf8').match(/const WORKER_SOURCE = (".*");$/m) ?? [];
    expect(JSON.parse(source)).toMatch(/^"use strict";/);
  });
});
