// SPDX-License-Identifier: Apache-2.0
// What the pages say of the package must be what the package is, so that they cannot rot.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { environmentName, isEnabled, resolveConfig } from '../../src/config.js';
import { debugOptions } from '../../src/debug/options.js';
import * as semconv from '../../src/semconv.js';
import type { EventLoopInstrumentationConfig } from '../../src/types.js';
import { PAGES, page, REPOSITORY, tableOf } from '../support/markdown.js';

const manifest = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as {
  readonly name: string;
  readonly files: string[];
  readonly exports: Record<string, unknown>;
  readonly scripts: Record<string, string>;
};
const paths = PAGES.map(({ path }) => path);
const docs = paths.filter((path) => path.startsWith('docs/'));

describe('links', () => {
  it.each(paths)('of %s lead to what is there', (path) => {
    const { links } = page(path);
    const broken = links.filter((link) => !leadsSomewhere(path, link));
    expect(broken).toEqual([]);
  });

  it('of pages in the package lead to what is in the package', () => {
    const published = ['README.md', 'LICENSE', 'package.json', ...manifest.files];
    const isPublished = (path: string) => published.some((entry) => path === entry || path.startsWith(`${entry}/`));
    const lost = PAGES.filter(({ path }) => isPublished(path)).flatMap(({ path, links }) =>
      links
        .filter((link) => !isExternal(link) && !isPublished(targetOf(path, link).path))
        .map((link) => `${path}: ${link}`),
    );
    expect(lost).toEqual([]);
  });

  it('of the README lead to every page', () => {
    expect(page('README.md').links.filter((link) => link.startsWith('docs/')).length).toBeGreaterThan(0);
    for (const path of docs) expect(page('README.md').links).toContain(path);
  });
});

const isExternal = (link: string) => URL.canParse(link);

function targetOf(from: string, link: string): { path: string; anchor: string } {
  const [file = '', anchor = ''] = link.split('#');
  // A folder is shown by its README, but linked as itself.
  return { path: file === '' ? from : normalize(join(dirname(from), file)).replace(/\/$/, ''), anchor };
}

function leadsSomewhere(from: string, link: string): boolean {
  if (isExternal(link)) return link.startsWith('https://');
  const { path, anchor } = targetOf(from, link);
  if (path.startsWith('..') || !existsSync(join(REPOSITORY, path))) return false;
  if (anchor !== '') return page(path).anchors.has(anchor);
  return !link.endsWith('/') || statSync(join(REPOSITORY, path)).isDirectory();
}

describe('README.md', () => {
  it('is short', () => {
    expect(page('README.md').text.trimEnd().split('\n').length).toBeLessThanOrEqual(180);
  });

  it.each(['npm install && npm run demo', 'npm install && npm test'])('says, alone in a snippet: %s', (command) => {
    const snippets = page('README.md').fences.filter(({ language }) => language === 'sh');
    expect(snippets.map(({ code }) => code)).toContain(`${command}\n`);
  });

  it('says what docs/cost.md has measured, as docs/configuration.md does', () => {
    const measured = tableOf(page('docs/cost.md'), 'CPU per request');
    const figures = measured.map((row) => row.slice(1));
    const repeated = tableOf(page('README.md'), 'CPU per request');
    expect(repeated.map((row) => row.slice(1))).toEqual(figures);
    // OpenTelemetry alone, then each attribution, in the order of the columns there.
    const [, ...attributions] = figures;
    const compared = tableOf(page('docs/configuration.md'), 'compared');
    expect(compared.at(-1)?.slice(1)).toEqual(attributions.map((row) => row.join(' / ')));
  });
});

it.each(docs)("%s begins with a reader's question, and its answer", (path) => {
  expect(page(path).text).toMatch(/^# .+\n\n\*[^*]+\?\* \S/);
});

/** What the code says of an option. */
interface Option {
  readonly name: string;
  readonly default: string;
  readonly environment: string;
  /** Completes "must be …". */
  readonly expected: string;
}

describe('options', () => {
  const documented = tableOf(page('docs/configuration.md'), 'option');
  const types = doc('EventLoopInstrumentationConfig');

  it('are in docs/configuration.md, in src/types.ts and in src/config.ts, each of them', () => {
    const known = knownOptions().map(({ name }) => name);
    expect(documented.map(([name]) => plain(name))).toEqual(expect.arrayContaining(known));
    expect(documented).toHaveLength(known.length);
    expect([...types.keys()].sort()).toEqual([...known].sort());
  });

  it.each(knownOptions())('$name: the default, the variable and the values are those of the code', (option) => {
    const [, otherwise, environment, meaning = ''] = documented.find(([name]) => plain(name) === option.name) ?? [];
    const type = types.get(option.name);
    expect(plain(otherwise)).toBe(option.default);
    expect(plain(environment)).toBe(option.environment);
    if (option.default !== 'none') expect(plain(type?.default).replaceAll("'", '')).toBe(option.default);
    if (option.environment !== '–') expect(type?.comment).toContain(`\`${option.environment}\``);

    const range = /^a number from (\d+) to (\d+)$/.exec(option.expected);
    if (range) {
      const [from, to] = range.slice(1).map((limit) => Number(limit).toLocaleString('en-US'));
      expect(meaning).toContain(`${from} to ${to}`);
      expect(type?.comment).toMatch(new RegExp(`\\b${from} to[\\s*]+${to}\\b`));
    }
    const values = Array.from(option.expected.matchAll(/"(\w[\w-]*)"/g), ([, value]) => value as string);
    for (const value of values) expect(meaning).toContain(`\`${value}\``);
    if (values.length > 0) expect(new Set(type?.values)).toEqual(new Set(values));
  });

  it('of ./debug: the variables and their limits are those of the code', () => {
    const rows = tableOf(page('docs/configuration.md'), 'environment');
    const limits = Object.keys(debugOptions({}, () => {})).map((name) => {
      const variable = environmentName(`debug${name[0]?.toUpperCase()}${name.slice(1)}`);
      const warnings: string[] = [];
      debugOptions({ [variable]: 'no number' }, (line) => warnings.push(line));
      return [variable, /a number from (\d+) to (\d+)/.exec(warnings[0] ?? '')?.slice(1)] as const;
    });
    expect(rows.map(([variable]) => plain(variable)).sort()).toEqual(limits.map(([variable]) => variable).sort());
    for (const [variable, limit] of limits) {
      const meaning = rows.find(([name]) => plain(name) === variable)?.[2];
      if (limit) expect(meaning).toContain(limit.map((it) => Number(it).toLocaleString('en-US')).join(' to '));
    }
  });

  it.each(paths)('named in %s by their variable exist', (path) => {
    const debug = tableOf(page('docs/configuration.md'), 'environment').map(([variable]) => plain(variable));
    const known = [...knownOptions().map(({ environment }) => environment), ...debug];
    const named = page(path).text.match(/\bOTEL_EVENT_LOOP_\w+/g) ?? [];
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
  });
});

const plain = (cell = '') => cell.replaceAll('`', '');

/** What the code itself says of its options, when it is asked for one that it does not know and given what none may be. */
function knownOptions(): Option[] {
  const warningsFor = (given: object) => {
    const warnings: string[] = [];
    resolveConfig(given as EventLoopInstrumentationConfig, {}, (line) => warnings.push(line));
    return warnings.join('\n');
  };
  const names = /known are (.+)$/.exec(warningsFor({ unheardOf: 1 }))?.[1]?.split(', ') ?? [];
  const defaults: Record<string, unknown> = {
    ...resolveConfig({}, {}, () => {}),
    enabled: isEnabled(undefined, {}, () => {}),
  };
  return names.map((name) => {
    const expected = / must be (.+), not Symbol/.exec(warningsFor({ [name]: Symbol('refused') }))?.[1] ?? '';
    return {
      name,
      default: String(defaults[name] ?? 'none'),
      // A function is not to be had from the environment.
      environment: expected === 'a function' ? '–' : environmentName(name),
      expected,
    };
  });
}

interface MemberDoc {
  readonly comment: string;
  /** Undefined without a `@default`. */
  readonly default: string | undefined;
  /** The strings that it may be, where its type lists them. */
  readonly values: readonly string[];
}

/** The members of an interface in src/types.ts. */
function doc(name: string): Map<string, MemberDoc> {
  const file = join(REPOSITORY, 'src/types.ts');
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true);
  const aliases = new Map(
    source.statements.filter(ts.isTypeAliasDeclaration).map((alias) => [alias.name.text, alias.type]),
  );
  const members = source.statements.filter(ts.isInterfaceDeclaration).find((it) => it.name.text === name)?.members;
  return new Map(
    Array.from(members ?? [], (member) => {
      const [comment] = ts.getJSDocCommentsAndTags(member);
      const tag = ts.getJSDocTags(member).find((it) => it.tagName.text === 'default');
      const type = ts.isPropertySignature(member) ? (member.type?.getText() ?? '') : '';
      const values = (aliases.get(type)?.getText() ?? type).matchAll(/'([^']+)'/g);
      return [
        member.name?.getText() ?? '',
        {
          comment: comment?.getText() ?? '',
          default: ts.getTextOfJSDocComment(tag?.comment),
          values: Array.from(values, ([, value]) => value as string),
        },
      ];
    }),
  );
}

describe('names', () => {
  const emitted = Object.values<unknown>(semconv).filter((name): name is string => typeof name === 'string');
  const delays = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'].map((it) => `nodejs.eventloop.delay.${it}`);

  it('that are emitted are in docs/telemetry.md, each of them', () => {
    const { text } = page('docs/telemetry.md');
    const channels = page('docs/configuration.md').text;
    for (const name of emitted) {
      const written = name.endsWith('.') ? name : `\`${name}\``;
      expect(name.includes(':') ? channels : text).toContain(written);
    }
  });

  it.each(paths)('in %s are emitted', (path) => {
    const known = new Set([...emitted, ...delays, 'eventloop.block', 'nodejs.eventloop']);
    const named = page(path).text.match(/(?<![\w.-])(?:nodejs\.)?eventloop\.[\w.]*\w/g) ?? [];
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });
});

describe('CONTRIBUTING.md', () => {
  const { text } = page('CONTRIBUTING.md');

  it('has every room and file of the source, and every folder of the tests, on its map', () => {
    const there = ['src', 'test'].flatMap((parent) =>
      readdirSync(join(REPOSITORY, parent), { withFileTypes: true }).map(
        (entry) => `${parent}/${entry.name}${entry.isDirectory() ? '/' : ''}`,
      ),
    );
    const onTheMap = ['folder', 'file', 'where']
      .flatMap((title) => tableOf(page('CONTRIBUTING.md'), title))
      .flatMap(([cell]) => plain(cell).split(', '))
      .filter((path) => /^(src|test)\//.test(path));
    expect(onTheMap.sort()).toEqual(there.sort());
  });

  it('has every script', () => {
    // `npm pack` calls it.
    const scripts = Object.keys(manifest.scripts).filter((name) => name !== 'prepack');
    for (const name of scripts) expect(text).toMatch(new RegExp(`\\bnpm (run )?${name}\\b(?!:)`));
  });
});

describe('commands', () => {
  it.each(paths)('in %s are scripts of package.json, and entries of the package', (path) => {
    const { text, fences } = page(path);
    const scripts = Array.from(
      text.matchAll(/\bnpm (?:run(?: --silent)? ([\w:-]+)|(test)\b)/g),
      (it) => it[1] ?? it[2],
    );
    expect(scripts.filter((name) => !((name as string) in manifest.scripts))).toEqual([]);
    const shell = fences.filter(({ language }) => language === 'sh').map(({ code }) => code);
    const entries = Array.from(shell.join('').matchAll(/[\w-]+(\/\w+)?(?=[\s'])/g))
      .filter(([word]) => word.startsWith(manifest.name))
      .map(([, entry = '']) => `.${entry}`);
    expect(entries.filter((entry) => !(entry in manifest.exports))).toEqual([]);
  });
});
