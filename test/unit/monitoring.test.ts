// SPDX-License-Identifier: Apache-2.0
// What examples/monitoring and docs/scale.md name must be what the code emits, so that they cannot rot.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parser as traceQl } from '@grafana/lezer-traceql';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { DataPointType, MeterProvider, type MetricData } from '@opentelemetry/sdk-metrics';
import { EventLoopInstrumentation } from 'opentelemetry-instrumentation-event-loop';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import * as semconv from '../../src/semconv.js';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const MONITORING = join(REPOSITORY, 'examples/monitoring');

/** Names of the telemetry contract that src/semconv.ts does not have yet; what it has by now may go from here. */
const ANNOUNCED = [
  'eventloop.stalled',
  'eventloop.stall.count',
  'eventloop.stall.duration',
  'eventloop.block.cause',
  'eventloop.block.cpu_time',
  'eventloop.block.gc_time',
  'event loop hang',
  'eventloop.hang',
  'code.function.name',
  'code.file.path',
  'code.line.number',
];
const constants = Object.entries<unknown>(semconv).filter(
  (entry): entry is [string, string] => typeof entry[1] === 'string',
);
const METRICS = constants.filter(([constant]) => constant.startsWith('METRIC_')).map(([, name]) => name);
const NAMES = new Set([...constants.map(([, name]) => name), ...ANNOUNCED]);
const LABELS = new Set(Array.from(NAMES, (name) => name.replaceAll(/\W/g, '_')));

const read = (file: string) => readFileSync(join(MONITORING, file), 'utf8');
const files = readdirSync(MONITORING, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name).slice(MONITORING.length + 1));

/** Series names by metric, as Prometheus has them from a scrape, and as it makes them from OTLP. */
const scraped = new Set<string>();
const otlp = new Set<string>();
let emitted: MetricData[] = [];

beforeAll(async () => {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const instrumentation = new EventLoopInstrumentation();
  instrumentation.setMeterProvider(new MeterProvider({ readers: [exporter] }));
  // The loop has turned, so that what follows is no start of a program.
  await sleep(25);
  const until = performance.now() + 60;
  while (performance.now() < until);
  instrumentation.flush();
  const { resourceMetrics } = await exporter.collect();
  emitted = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
  const text = await new Promise<string>((done) => {
    const response = { setHeader() {}, end: done };
    exporter.getMetricsRequestHandler({} as never, response as never);
  });
  instrumentation.disable();
  await exporter.shutdown();

  for (const [, series] of text.matchAll(/^(eventloop_\w+)[{ ]/gm)) scraped.add(series as string);
  for (const metric of emitted) for (const series of otlpSeries(metric)) otlp.add(series);
});

/** https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/: unit, then kind, as suffixes. */
function otlpSeries({ descriptor, dataPointType }: MetricData): string[] {
  expect(descriptor.unit).toBe('s');
  const name = `${descriptor.name.replaceAll(/\W/g, '_')}_seconds`;
  if (dataPointType === DataPointType.HISTOGRAM) return ['_bucket', '_sum', '_count'].map((suffix) => name + suffix);
  return [dataPointType === DataPointType.SUM ? `${name}_total` : name];
}

it('emits the metrics that are declared', () => {
  expect(emitted.map(({ descriptor }) => descriptor.name).sort()).toEqual(
    METRICS.filter((name) => !isOptIn(name)).sort(),
  );
});

/** The `nodejs.eventloop.*` metrics come with `runtimeMetrics: true` alone. */
const isOptIn = (name: string) => name.startsWith('nodejs.');

it.each([...files, '../../docs/scale.md'])('%s names only what is emitted', (file) => {
  const unknown = Array.from(read(file).matchAll(/\beventloop[._][\w.]*\w/g), ([name]) => name).filter(
    (name) => !(NAMES.has(name) || LABELS.has(name) || scraped.has(name) || otlp.has(name) || METRICS.includes(name)),
  );
  expect(unknown).toEqual([]);
});

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
}
const rulesOf = (file: string): Rule[] => parse(read(file)).groups.flatMap((group: { rules: Rule[] }) => group.rules);
const seriesIn = (expr: string) => Array.from(expr.matchAll(/eventloop_\w+/g), ([name]) => name);

describe('alert rules', () => {
  const both = [
    ['scraped', () => scraped],
    ['otlp', () => otlp],
  ] as const;

  it.each(both)('of the spelling %s keep to it', (spelling, series) => {
    for (const rule of rulesOf(`prometheus/rules-${spelling}.yaml`)) {
      expect(seriesIn(rule.expr), rule.alert).not.toEqual([]);
      for (const name of seriesIn(rule.expr)) expect(series(), rule.alert).toContain(name);
    }
  });

  it.each(both)('of the spelling %s have a test each', (spelling) => {
    const { tests } = parse(read(`prometheus/rules-${spelling}.test.yaml`));
    const firing = tests.flatMap((test: { alert_rule_test: { alertname: string; exp_alerts?: unknown[] }[] }) =>
      test.alert_rule_test.filter((it) => it.exp_alerts?.length).map((it) => it.alertname),
    );
    for (const { alert } of rulesOf(`prometheus/rules-${spelling}.yaml`)) expect(firing).toContain(alert);
  });

  it('are the same in both spellings', () => {
    const plain = (file: string) =>
      rulesOf(file)
        // These two ask in another way whether a process is up.
        .filter(({ alert }) => !['EventLoopSilent', 'EventLoopNotAnswering'].includes(alert))
        .map((rule) =>
          JSON.stringify(rule)
            .replaceAll('_seconds', '')
            .replaceAll(/\[\w+\]/g, '[]'),
        );
    const names = (file: string) => rulesOf(file).map(({ alert }) => alert);
    expect(plain('prometheus/rules-otlp.yaml')).toEqual(plain('prometheus/rules-scraped.yaml'));
    expect(names('prometheus/rules-otlp.yaml')).toEqual(names('prometheus/rules-scraped.yaml'));
  });

  it('compare with edges of the buckets', () => {
    const limits = rulesOf('prometheus/rules-scraped.yaml')
      .filter(({ expr }) => expr.includes('eventloop_delay_bucket'))
      .map(({ expr }) => Number(/> ([\d.]+)$/.exec(expr)?.[1]));
    for (const limit of limits) expect(semconv.BUCKETS_SECONDS).toContain(limit);
  });
});

interface Panel {
  readonly title: string;
  readonly targets: { readonly expr?: string; readonly query?: string }[];
}

describe('the dashboard', () => {
  const dashboard = JSON.parse(read('grafana/event-loop.json'));
  const panels: Panel[] = dashboard.panels;
  const targets = panels.flatMap(({ title, targets }) => targets.map((target) => ({ title, ...target })));

  it('asks for each metric in both spellings', () => {
    const exprs = [
      ...targets.flatMap(({ expr }) => expr ?? []),
      ...dashboard.templating.list.flatMap((variable: { definition?: string }) => variable.definition ?? []),
    ];
    expect(exprs.length).toBeGreaterThan(0);
    for (const expr of exprs) {
      const [, first, second] = /__name__=~"(\w+)\|(\w+)"/.exec(expr) ?? [];
      expect(scraped, expr).toContain(first);
      expect(otlp, expr).toContain(second);
      expect(second?.replace('_seconds', ''), expr).toBe(first);
    }
  });

  it('has its queries where its panels are', () => {
    expect(new Set(targets.map(({ title }) => title)).size).toBe(panels.length);
    for (const { expr, query, title } of targets) expect(expr ?? query, title).toMatch(/eventloop|event loop/);
  });

  it('asks TraceQL for attributes and spans that exist', () => {
    const queries = targets.flatMap(({ query }) => query ?? []);
    expect(queries.length).toBeGreaterThan(0);
    for (const query of queries) expectTraceQl(query);
  });

  it('is mounted by the compose file', () => {
    const { volumes } = parse(read('../compose.yaml')).services.lgtm;
    const mounts: string[][] = volumes.map((volume: string) => volume.split(':'));
    const provider = parse(read('grafana/dashboards.yaml')).providers[0];
    expect(mounts.map(([from]) => from)).toEqual([
      './monitoring/grafana/dashboards.yaml',
      './monitoring/grafana/event-loop.json',
    ]);
    expect(mounts[1]?.[1]).toBe(`${provider.options.path}/event-loop.json`);
  });
});

describe('the page of queries', () => {
  const blocks = (language: string) =>
    Array.from(read('queries.md').matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, 'g')), ([, text]) =>
      (text as string).trim().split('\n'),
    ).flat();

  it('asks TraceQL for attributes and spans that exist', () => {
    expect(blocks('traceql').length).toBeGreaterThan(5);
    for (const query of blocks('traceql')) expectTraceQl(query);
  });

  it('asks Jaeger for attributes that exist', () => {
    expect(blocks('jaeger').length).toBeGreaterThan(1);
    for (const tag of blocks('jaeger')) expect(NAMES).toContain(tag.split('=')[0]);
  });
});

/** Grammar by the parser of Grafana's editor, names by the contract. */
function expectTraceQl(query: string): void {
  // That grammar takes the beginning of `eventloop` for the scope `event`; Tempo's own does not.
  const text = query.replaceAll('.eventloop.', '.loop.');
  const errors: string[] = [];
  traceQl.parse(text).iterate({
    enter: ({ type, from, to }) => {
      if (type.isError) errors.push(`"${text.slice(from, to)}" at ${from}`);
    },
  });
  expect(errors, query).toEqual([]);
  const [attributes, names] = [/\bspan\.([\w.]+)/g, /(?<![.\w])name = "([^"]*)"/g].map((pattern) =>
    Array.from(query.matchAll(pattern), ([, name]) => name as string),
  );
  expect([...(attributes ?? []), ...(names ?? [])], query).not.toEqual([]);
  for (const name of attributes ?? []) expect(NAMES, query).toContain(name);
  for (const name of names ?? []) expect(NAMES, query).toContain(name);
}

interface Collector {
  readonly receivers: object;
  readonly processors: Record<string, { policies: Policy[] }>;
  readonly exporters: Record<string, { routing_key?: string; resolver?: object }>;
  readonly service: { readonly pipelines: Record<string, Record<string, string[]>> };
}
interface Policy {
  readonly type: string;
  readonly boolean_attribute?: { readonly key: string; readonly value: boolean };
  readonly ottl_condition?: { readonly span: string[] };
}

describe('collector configurations', () => {
  it.each(['sampling', 'front'])(
    '%s.yaml: every pipeline is made of what is configured, and all of it is used',
    (name) => {
      const config: Collector = parse(read(`collector/${name}.yaml`));
      for (const part of ['receivers', 'processors', 'exporters'] as const) {
        const used = Object.values(config.service.pipelines).flatMap((pipeline) => pipeline[part] ?? []);
        expect(new Set(used), part).toEqual(new Set(Object.keys(config[part])));
      }
    },
  );

  it('keep every trace with a blocked or a stalled span, a block or a hang', () => {
    const { processors }: Collector = parse(read('collector/sampling.yaml'));
    const policies = processors.tail_sampling?.policies ?? [];
    const keys = policies.flatMap((policy) => policy.boolean_attribute ?? []);
    expect(keys).toEqual([
      { key: semconv.ATTR_BLOCKED, value: true },
      { key: 'eventloop.stalled', value: true },
    ]);
    expect(policies.flatMap((policy) => policy.ottl_condition?.span ?? [])).toEqual([
      `span.name == "${semconv.SPAN_BLOCK}"`,
      'span.name == "event loop hang"',
    ]);
    // Each policy brings the part that its type is called after, or it is no policy.
    for (const policy of policies) expect(Object.keys(policy)).toContain(policy.type);
  });

  it('send the spans of a trace to the same collector', () => {
    const { exporters, service }: Collector = parse(read('collector/front.yaml'));
    expect(service.pipelines.traces?.exporters).toEqual(['loadbalancing']);
    expect(exporters.loadbalancing?.routing_key).toBe('traceID');
  });
});
