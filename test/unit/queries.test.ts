// SPDX-License-Identifier: Apache-2.0
// Every query of the pages and the alert rules is one for its language, by the parsers of Grafana's editors; those of the
// dashboard are looked at in monitoring.test.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parser as logQl } from '@grafana/lezer-logql';
import { parser as traceQl } from '@grafana/lezer-traceql';
import { describe, expect, it } from 'vitest';
import { PAGES, REPOSITORY } from '../support/markdown.js';

interface Query {
  readonly from: string;
  readonly text: string;
}

/** What stands between backticks, or in an annotation of a rule: a set of spans in braces. */
const TRACEQL_INLINE = /\{ (?:span\.|resource\.|name =|kind =|status =)[^`}]*\}/g;

const fenced = (language: string): Query[] =>
  PAGES.flatMap(({ path, fences }) =>
    fences
      .filter((fence) => fence.language === language)
      .flatMap(({ code }) => code.trim().split('\n'))
      .map((text) => ({ from: path, text })),
  );

const inline = (from: string, whole: string): Query[] =>
  Array.from(whole.matchAll(TRACEQL_INLINE), ([text]) => ({ from, text }));

function errorsIn(parser: { parse: typeof traceQl.parse }, text: string): string[] {
  const errors: string[] = [];
  parser.parse(text).iterate({
    enter: ({ type, from, to }) => {
      if (type.isError) errors.push(`"${text.slice(from, to)}" at ${from}`);
    },
  });
  return errors;
}

describe('TraceQL', () => {
  const rules = ['scraped', 'otlp'].map((spelling) => `examples/monitoring/prometheus/rules-${spelling}.yaml`);
  const queries = [
    ...fenced('traceql'),
    ...PAGES.flatMap(({ path, text }) => inline(path, text)),
    ...rules.flatMap((path) => inline(path, readFileSync(join(REPOSITORY, path), 'utf8'))),
  ];

  it.each(queries)('$from: $text', ({ text }) => {
    // That grammar takes the beginning of `eventloop` for the scope `event`; Tempo's own does not.
    expect(errorsIn(traceQl, text.replaceAll('.eventloop.', '.loop.'))).toEqual([]);
  });

  it('is found in fences, in prose and in rules', () => {
    const pages = new Set(queries.map(({ from }) => from));
    for (const path of ['README.md', 'examples/monitoring/queries.md', ...rules]) expect(pages).toContain(path);
  });

  it('is not what has an error in it', () => {
    expect(errorsIn(traceQl, '{ span.loop.blocked = }')).not.toEqual([]);
  });
});

describe('LogQL', () => {
  const queries = fenced('logql');

  it.each(queries)('$from: $text', ({ text }) => {
    expect(errorsIn(logQl, text)).toEqual([]);
  });

  it('is on the page of queries', () => {
    expect(queries.map(({ from }) => from)).toContain('examples/monitoring/queries.md');
  });

  it('is not what has an error in it', () => {
    expect(errorsIn(logQl, '{service_name="shop" |= `event loop blocked`')).not.toEqual([]);
  });
});
