// SPDX-License-Identifier: Apache-2.0
// Finished blocks in, telemetry out; and whoever throws behind its doors, nothing comes out of them.
import { type Span, type SpanContext, TraceFlags } from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { beforeEach, describe, expect, it } from 'vitest';
import { blame } from '../../src/block/blame.js';
import type { Iteration, OpenBlock, SpanShare } from '../../src/model.js';
import type { EventLogger } from '../../src/report/logs.js';
import type { LoopMetrics } from '../../src/report/metrics.js';
import { Reporter, type Telemetry } from '../../src/report/reporter.js';
import { Guard } from '../../src/system/guard.js';

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const tracer = provider.getTracer('test');

let bodies: string[];
let delays: number[];
let complaints: string[];

const telemetry: Telemetry = {
  tracer,
  logger: { emit: ({ body }) => bodies.push(body) } as EventLogger,
  metrics: {
    recordBlock() {},
    recordDelay: (millis: number) => delays.push(millis),
  } as unknown as LoopMetrics,
};

function reporter(to: Telemetry = telemetry, maxBlocksPerMinute = 60): Reporter {
  const log = { warn: (message: string) => complaints.push(message), info() {} };
  return new Reporter({ maxBlocksPerMinute, stackPaths: 'absolute' }, to, log as never, new Guard(log));
}

function share(span: Span, millis: number, iteration = 1): SpanShare {
  return { span, shareMicros: millis * 1e3, totalMicros: millis * 1e3, iteration, blame: undefined, stall: undefined };
}

/** A block that ends now. */
function block(...shares: SpanShare[]): OpenBlock {
  const busyMicros = shares.reduce((sum, { shareMicros }) => sum + shareMicros, 0);
  const endedAt = Date.now();
  const iteration: Iteration = {
    loopCount: 1,
    endedAt,
    busyMicros,
    startMicros: 0,
    startTurn: 0,
    shares,
    callbacks: 1,
    isExact: true,
  };
  return { block: blame(iteration, 50, 0) };
}

const finished = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name);
const started = (name: string): Span => tracer.startSpan(name, { startTime: Date.now() - 200 });

beforeEach(() => {
  exporter.reset();
  bodies = [];
  delays = [];
  complaints = [];
});

describe('a block', () => {
  it('becomes a span below the blamed one, and a sentence', () => {
    const span = started('GET /report');
    const open = block(share(span, 120));
    const one = reporter();
    one.onBlamed(share(span, 120), open);
    one.onBlock(open);
    span.end();
    const [blockSpan] = finished('event loop blocked');
    expect(blockSpan?.parentSpanContext?.spanId).toBe(span.spanContext().spanId);
    expect(blockSpan?.attributes).toMatchObject({ 'eventloop.block.duration': 0.12, 'eventloop.block.shared': false });
    expect(blockSpan?.attributes).not.toHaveProperty('eventloop.blocked');
    expect(finished('GET /report')[0]?.attributes).toMatchObject({
      'eventloop.blocked': true,
      'eventloop.block.count': 1,
    });
    expect(bodies).toEqual(['event loop blocked for 120 ms by "GET /report"']);
  });

  it('carries the mark itself where the blamed span had ended', () => {
    const span = started('GET /report');
    span.end();
    const open = block(share(span, 120));
    const one = reporter();
    one.onBlamed(share(span, 120), open);
    one.onBlock(open);
    expect(finished('event loop blocked')[0]?.attributes).toMatchObject({ 'eventloop.blocked': true });
    expect(finished('GET /report')[0]?.attributes).toEqual({});
  });

  it('is the same for who waited for it, before it is reported and after', () => {
    const [blamed, first, second] = [started('blamed'), started('first'), started('second')];
    const open = block(share(blamed, 120));
    const one = reporter();
    const stall = { count: 1, sumMicros: 120_000, isUpperBound: false, stretch: 0, ranUntil: 0, unlinked: [] };
    one.onStalled(first, stall, [open]);
    one.onBlock(open);
    one.onStalled(second, stall, [open]);
    for (const span of [first, second]) span.end();
    const linked = ['first', 'second'].map((name) => finished(name)[0]?.links.map(({ context }) => context.spanId));
    const id = finished('event loop blocked')[0]?.spanContext().spanId;
    expect(linked).toEqual([[id], [id]]);
    expect(finished('first')[0]?.attributes).toMatchObject({
      'eventloop.stalled': true,
      'eventloop.stall.duration': 0.12,
    });
  });

  it('is held back beyond the limit, span and sentence', () => {
    const one = reporter(telemetry, 1);
    for (let i = 0; i < 3; i++) one.onBlock(block(share(started(`${i}`), 60)));
    expect(finished('event loop blocked')).toHaveLength(1);
    expect(bodies).toHaveLength(1);
  });
});

it('records each wait as it is', () => {
  reporter().onDelay(12.5);
  expect(delays).toEqual([12.5]);
});

it('lets nothing out of its doors, and says once for each what fails', () => {
  const fails = (): never => {
    throw new Error('of an SDK');
  };
  const broken = {
    get tracer() {
      return fails();
    },
    get logger() {
      return fails();
    },
    get metrics() {
      return fails();
    },
  } as unknown as Telemetry;
  const context: SpanContext = { traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: TraceFlags.SAMPLED };
  const foreign = {
    isRecording: () => true,
    setAttribute: fails,
    addLink: fails,
    spanContext: () => context,
  } as unknown as Span;
  const stall = { count: 1, sumMicros: 1, isUpperBound: false, stretch: 0, ranUntil: 0, unlinked: [] };
  const one = reporter(broken);
  const open = block(share(foreign, 60));
  for (let i = 0; i < 2; i++) {
    one.onBlamed(share(foreign, 60), open);
    one.onSpanTime(share(foreign, 60), foreign);
    one.onStalled(foreign, stall, [open]);
    one.onBlock(open);
    one.onStartUp({ durationMillis: 2_000, location: undefined }, Date.now());
    one.onDelay(1);
  }
  const tasks = ['write on a span', 'report a block', 'report the start-up', 'record the delay'];
  expect(complaints).toEqual(tasks.map((task) => `failed to ${task}; further failures of this kind are not reported`));
});
