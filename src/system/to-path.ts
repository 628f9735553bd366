// SPDX-License-Identifier: Apache-2.0
import { sep } from 'node:path';

const SCHEME = 'file://';

/**
 * The path of a file that is known by its URL; anything else as it is.
 *
 * Not by `fileURLToPath`: a look runs in the midst of other code, also between the two steps of somebody's `new URL()`.
 * The first leaves where the parts of the URL begin in memory that all URLs have in common, the second reads it: a URL that is parsed
 * in between leaves the other one without its port. Nor by a regular expression, of which `RegExp.$1` tells.
 * https://github.com/nodejs/node/blob/v20.20.0/lib/internal/url.js (`#updateContext`)
 */
export function toPath(file: string): string {
  if (!file.startsWith(SCHEME)) return file;
  const path = decoded(upTo('#', upTo('?', file)).slice(SCHEME.length));
  if (sep === '/') return path;
  // file:///C:/a is C:\a, and file://host/a is \\host\a.
  return (path.startsWith('/') ? path.slice(1) : `//${path}`).replaceAll('/', sep);
}

function upTo(character: string, text: string): string {
  const end = text.indexOf(character);
  return end < 0 ? text : text.slice(0, end);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
