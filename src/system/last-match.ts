// SPDX-License-Identifier: Apache-2.0

/** What `RegExp` itself tells of the last match: TypeScript does not know all of it. */
interface LastMatch {
  input: string;
  readonly lastMatch: string;
  readonly leftContext: string;
  readonly rightContext: string;
  readonly lastParen: string;
}
const last = RegExp as unknown as LastMatch & Record<string, string>;
const GROUPS = ['$1', '$2', '$3', '$4', '$5', '$6', '$7', '$8', '$9', 'lastParen'];

/** A match that is so long, or so far from what it has captured, is not brought back: that would take too long. UTF-16 code units. */
const MOST_UNITS = 50_000;

/**
 * Has `RegExp.$1` and its like say again what they say now. A look runs in the midst of other code, also between a match
 * and what asks for its groups in this way.
 * https://developer.mozilla.org/docs/Web/JavaScript/Reference/Global_Objects/RegExp/n
 *
 * @returns brings it back.
 */
export function rememberLastMatch(): () => void {
  const { input, lastMatch, leftContext, rightContext } = last;
  const groups = GROUPS.map((name) => last[name] as string);
  return () => {
    const isKept =
      last.lastMatch === lastMatch && last.leftContext === leftContext && last.rightContext === rightContext;
    if (!isKept) matchAgain(leftContext, lastMatch, rightContext, groups);
    if (last.input !== input) last.input = input;
  };
}

/** The same text at the same place, with the same groups. Where these stood nobody can see, only what they say. */
function matchAgain(left: string, match: string, right: string, groups: readonly string[]): void {
  const text = left + match + right;
  const at = left.length;
  const captures = groups.map((group) => captureOf(group, text, at));
  if (match.length > MOST_UNITS || captures.includes(undefined)) return;
  const again = new RegExp(`${captures.join('')}[^]{${match.length}}`, 'y');
  again.lastIndex = at;
  again.exec(text);
}

/** A group that says `group`, for a match that begins at `at` of `text`; undefined where that would be too far away. */
function captureOf(group: string, text: string, at: number): string | undefined {
  const behind = text.indexOf(group, at);
  const index = behind >= 0 ? behind : text.indexOf(group);
  const distance = Math.abs(index - at);
  if (index < 0 || distance > MOST_UNITS || group.length > MOST_UNITS) return undefined;
  const capture = `([^]{${group.length}})`;
  return index >= at ? `(?=[^]{${distance}}${capture})` : `(?<=(?=${capture})[^]{${distance}})`;
}
