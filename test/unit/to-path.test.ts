// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { toPath } from '../../src/system/to-path.js';

it.each(['/app/server.mjs', '/app/a b/ü%20#1?.mjs', '/app/100%.mjs', '/app/back\\slash.mjs', '/'])(
  'is what Node.js says of the URL of %s',
  (path) => {
    const { href } = pathToFileURL(path);
    expect(toPath(href)).toBe(fileURLToPath(href));
  },
);

it('leaves out what only tells one version of a module from another', () => {
  const url = 'file:///app/a.mjs?version=1#top';
  expect(toPath(url)).toBe(fileURLToPath(url));
  expect(toPath('file:///app/a.mjs#top?x')).toBe('/app/a.mjs');
});

it.each(['node:fs', '/app/a.js', 'https://host/a.js', '', 'file:relative'])('leaves %s as it is', (file) => {
  expect(toPath(file)).toBe(file);
});

it('makes something of what is no proper URL', () => {
  expect(toPath('file:///app/100%.mjs')).toBe('/app/100%.mjs');
});
