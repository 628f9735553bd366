// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Fence, fencesIn } from './fences.mjs';

export const REPOSITORY = resolve(import.meta.dirname, '../..');

export interface Page {
  /** From the repository's root. */
  readonly path: string;
  readonly text: string;
  /** What the headings are reached by, as GitHub makes it. */
  readonly anchors: ReadonlySet<string>;
  /** Where links lead to, as written. */
  readonly links: readonly string[];
  readonly fences: readonly Fence[];
}

/** Every page of the repository. */
export const PAGES: readonly Page[] = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...['docs', 'examples'].flatMap(pagesIn),
].map(readPage);

/** Throws where there is none. */
export function page(path: string): Page {
  const found = PAGES.find((candidate) => candidate.path === path);
  if (found === undefined) throw new Error(`there is no ${path}`);
  return found;
}

/** The rows of the table whose first column has this title, without the marks of inline code. */
export function tableOf({ path, text }: Page, title: string): string[][] {
  const lines = text.split('\n');
  const from = lines.findIndex((line) => line.startsWith(`| ${title} |`));
  if (from < 0) throw new Error(`${path} has no table of ${title}`);
  const rows = lines.slice(from + 2);
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith('|')),
    )
    .map((row) => row.slice(2, -2).split(' | '));
}

/** What the stories have installed is passed over: one of its packages is a link to the repository itself. */
function pagesIn(folder: string): string[] {
  return readdirSync(join(REPOSITORY, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : pagesIn(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

function readPage(path: string): Page {
  const text = readFileSync(join(REPOSITORY, path), 'utf8');
  const fences = fencesIn(text);
  const prose = text.replaceAll(/^```[\s\S]*?^```$/gm, '');
  // Brackets in inline code make no link.
  const outsideOfCode = prose.replaceAll(/`[^`]*`/g, (code) => code.replaceAll(/[[\]()]/g, '·'));
  const links = Array.from(outsideOfCode.matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g), ([, target]) => target as string);
  return { path, text, fences, links, anchors: anchorsOf(prose) };
}

function anchorsOf(prose: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of prose.matchAll(/^#+ (.+)$/gm)) {
    const words = (heading as string).replaceAll(/\]\([^)]*\)/g, '').toLowerCase();
    const slug = words.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-');
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}
