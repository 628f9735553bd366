// SPDX-License-Identifier: Apache-2.0
import type { Attributes } from '@opentelemetry/api';
import { expect, it } from 'vitest';
import type { ResolvedConfig } from '../../src/config.js';
import { MetricAttributes } from '../../src/report/metric-attributes.js';
import { Guard } from '../../src/system/guard.js';
import type { Block, EntryOperation } from '../../src/types.js';

let complaints: unknown[];
function from(wanted: ResolvedConfig['metricAttributes']): (entry?: Partial<EntryOperation>) => Attributes {
  complaints = [];
  const guard = new Guard({ warn: (...words: unknown[]) => complaints.push(words[0]) } as never);
  const attributes = new MetricAttributes(wanted, guard);
  return (entry) => attributes.of({ entry } as Block);
}

const routed = (route: string): Partial<EntryOperation> => ({
  name: `GET ${route}`,
  kind: 'server',
  route,
  attributes: { 'http.request.method': 'GET', 'http.route': route },
});

it('is nothing by default, and nothing where there is no request', () => {
  expect(from(undefined)(routed('/a'))).toEqual({});
  expect(from(['http.route'])(undefined)).toEqual({});
  expect(from(['http.route'])({ name: 'GET', kind: 'server', attributes: {} })).toEqual({});
});

it('is what was asked for by name', () => {
  expect(from(['http.route'])(routed('/a'))).toEqual({ 'http.route': '/a' });
  expect(
    from(['http.request.method', 'eventloop.entry.name', 'eventloop.entry.kind', 'rpc.method'])(routed('/a')),
  ).toEqual({ 'http.request.method': 'GET', 'eventloop.entry.name': 'GET /a', 'eventloop.entry.kind': 'server' });
});

it('is what a function says, as far as that can be an attribute', () => {
  const of = from(({ entry }) => ({ team: entry?.route === '/a' ? 'a' : 'b', odd: [1] as never, none: undefined }));
  expect([of(routed('/a')), of(routed('/b'))]).toEqual([{ team: 'a' }, { team: 'b' }]);
  expect(from(() => undefined as never)(routed('/a'))).toEqual({});
});

it('is nothing where the function throws, which is said once', () => {
  const of = from(() => {
    throw new Error('of the application');
  });
  expect([of(routed('/a')), of(routed('/b'))]).toEqual([{}, {}]);
  expect(complaints).toHaveLength(1);
});

it('has a hundred sets of values at the most, and no more behind them', () => {
  const of = from(['http.route']);
  for (let i = 0; i < 100; i++) expect(of(routed(`/${i}`))).toEqual({ 'http.route': `/${i}` });
  for (let i = 100; i < 110; i++) expect(of(routed(`/${i}`))).toEqual({ 'otel.metric.overflow': true });
  expect(of(routed('/7'))).toEqual({ 'http.route': '/7' });
  expect(of(undefined)).toEqual({});
});

it('takes the same values in another order for the same', () => {
  let calls = 0;
  const of = from(() => (calls++ % 2 === 0 ? { a: 1, b: 2 } : { b: 2, a: 1 }));
  for (let i = 0; i < 300; i++) expect(of()).toEqual({ a: 1, b: 2 });
});
