// SPDX-License-Identifier: Apache-2.0

/** The blocks of code in a page. */
export function fencesIn(text) {
  return Array.from(text.matchAll(/^```(\w*) ?(.*)\n([\s\S]*?)^```$/gm), (match) => ({
    language: match[1],
    info: match[2],
    code: match[3],
    line: text.slice(0, match.index).split('\n').length + 1,
  }));
}

/** The major version of OpenTelemetry that a block of code is for; undefined where it is for all. */
export function lineOf({ info }) {
  return /^OpenTelemetry (\d)\.x$/.exec(info)?.[1];
}
