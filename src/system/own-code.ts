// SPDX-License-Identifier: Apache-2.0
import { callSites, fileOf } from './call-sites.js';

/**
 * Knows our own code in an application's bundle, where no folder tells it from theirs, and minified no name does: all of
 * it is between this module, which is the first to be loaded, and the end of the last. Bundlers keep the order.
 */

interface Place {
  readonly filePath: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

/** Where this is called; undefined where stacks cannot be had (--frozen-intrinsics). */
function here(): Place | undefined {
  const [, site] = callSites(here, 2);
  if (site === undefined) return undefined;
  return { filePath: fileOf(site), lineNumber: site.getLineNumber() ?? 0, columnNumber: site.getColumnNumber() ?? 0 };
}

function mark(): Place | undefined {
  return here();
}

const begin = mark();
let end: Place | undefined;

/** To be called where the last of our modules ends. */
export function endOwnCode(): void {
  end = here();
}

export function isOwnCode(place: Place): boolean {
  return begin !== undefined && end !== undefined && isBetween(begin, place, end);
}

function isBetween(first: Place, place: Place, last: Place): boolean {
  return place.filePath === first.filePath && compare(first, place) < 0 && compare(place, last) < 0;
}

function compare(a: Place, b: Place): number {
  return a.lineNumber - b.lineNumber || a.columnNumber - b.columnNumber;
}
