// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { endpointOf, formatHeaders, parseHeaders, settingOf } from '../../src/otel/otlp.js';

describe('headers', () => {
  it.each([
    ['api-key=abc', { 'api-key': 'abc' }],
    [' api-key = abc , x = y=z ', { 'api-key': 'abc', x: 'y=z' }],
    ['a%2Cb=c%20d', { 'a,b': 'c d' }],
    ['empty=', { empty: '' }],
  ])('reads %j', (text, headers) => {
    expect(parseHeaders(text)).toEqual({ headers, isWhole: true });
  });

  it.each([
    ['a=b,nonsense', { a: 'b' }],
    ['=c,a=b', { a: 'b' }],
    ['x=%E0%A4%A,a=b', { a: 'b' }],
    ['', {}],
  ])('reads what can be read of %j', (text, headers) => {
    expect(parseHeaders(text)).toEqual({ headers, isWhole: false });
  });

  it('are read as they were written', () => {
    const headers = { 'x-key': 'a=b, c', 'ü/ä': ' ' };
    expect(parseHeaders(formatHeaders(headers))).toEqual({ headers, isWhole: true });
  });
});

describe('endpoint', () => {
  const base = 'https://collector/';
  it.each([
    [{}, false, 'http://localhost:4318/v1/logs'],
    [{}, true, 'http://localhost:4317'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: base }, false, 'https://collector/v1/logs'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: base }, true, 'https://collector/'],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'http://l/x/' }, false, 'http://l/x/'],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t/' }, false, 'http://localhost:4318/v1/logs'],
  ])('of logs with %j, gRPC %j, is %s', (environment, isGrpc, expected) => {
    expect(endpointOf('logs', environment, isGrpc)).toBe(expected);
  });
});

it('takes the setting of the signal ahead of that of all', () => {
  const environment = { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: 'http/json' };
  expect(settingOf('logs', 'PROTOCOL', environment)).toBe('http/json');
  expect(settingOf('traces', 'PROTOCOL', environment)).toBe('grpc');
});
