// SPDX-License-Identifier: Apache-2.0
import { channel } from 'node:diagnostics_channel';
import type { DiagLogger, Span, Tracer } from '@opentelemetry/api';
import { extentOf } from '../block/extent.js';
import type { ResolvedConfig } from '../config.js';
import type { OpenBlock, SpanShare, StallRecord } from '../model.js';
import { endOf } from '../otel/span-facts.js';
import { ATTR_BLOCKED, CHANNEL_BLOCK } from '../semconv.js';
import type { Guard } from '../system/guard.js';
import type { StartUpTime } from '../types.js';
import { outwardBlock } from '../words/paths.js';
import { BlockSpan } from './block-span.js';
import { type EventLogger, emitBlockEvent } from './logs.js';
import { MetricAttributes } from './metric-attributes.js';
import type { LoopMetrics } from './metrics.js';
import { RateLimit } from './rate-limit.js';
import { blockAttributes, markBlamed, markStalled, writeTime } from './spans.js';
import { emitStartUp } from './start-up-event.js';

/** What the reporter writes to; its members are read anew each time, since the SDK hands them over late. */
export interface Telemetry {
  readonly tracer: Tracer;
  readonly logger: EventLogger;
  readonly metrics: LoopMetrics;
}

const blockChannel = channel(CHANNEL_BLOCK);

/** Blocks in, telemetry out. Every door is guarded: an exporter or a foreign span that throws does no harm. */
export class Reporter {
  private readonly _limit: RateLimit;
  private readonly _metricAttributes: MetricAttributes;
  private readonly _spans = new WeakMap<OpenBlock, BlockSpan>();

  constructor(
    private readonly _config: Pick<
      ResolvedConfig,
      'maxBlocksPerMinute' | 'stackPaths' | 'blockHook' | 'metricAttributes'
    >,
    private readonly _telemetry: Telemetry,
    private readonly _diag: DiagLogger,
    private readonly _guard: Guard,
  ) {
    this._limit = new RateLimit(_config.maxBlocksPerMinute);
    this._metricAttributes = new MetricAttributes(_config.metricAttributes, _guard);
  }

  /** See `BlockListener`, like all that follow. */
  onBlamed(share: SpanShare, block: OpenBlock | undefined): void {
    this._guard.run('write on a span', () => {
      const isMarked = markBlamed(share);
      if (!isMarked && block && isEndedParent(share, block)) this._spanOf(block).noteUnmarked();
    });
  }

  onSpanTime(share: SpanShare, span: Span): void {
    this._guard.run('write on a span', () => writeTime(share, span));
  }

  onStalled(span: Span, stall: StallRecord, blocks: readonly OpenBlock[]): void {
    this._guard.run('write on a span', () => {
      const links = blocks.flatMap((block) => this._spanOf(block).spanContext() ?? []);
      markStalled(span, stall, links);
    });
  }

  onBlock(block: OpenBlock): void {
    this._guard.run('report a block', () => this._report(block));
  }

  onStartUp(time: StartUpTime, endTimeMillis: number): void {
    this._guard.run('report the start-up', () => {
      emitStartUp(time, this._config.stackPaths, this._telemetry.logger, this._diag, endTimeMillis);
    });
  }

  /** An event that arrived at a random moment waited so long. */
  onDelay(waitMillis: number): void {
    this._guard.run('record the delay', () => this._telemetry.metrics.recordDelay(waitMillis));
  }

  private _spanOf(open: OpenBlock): BlockSpan {
    const known = this._spans.get(open);
    if (known !== undefined) return known;
    const made = new BlockSpan(open, this._telemetry, this._limit);
    this._spans.set(open, made);
    return made;
  }

  private _report(open: OpenBlock): void {
    const { block } = open;
    const { logger, metrics } = this._telemetry;
    metrics.recordBlock(block, this._metricAttributes.of(block));
    if (blockChannel.hasSubscribers) blockChannel.publish(block);
    const blockSpan = this._spanOf(open);
    const span = blockSpan.span();
    if (span === undefined) return;
    const told = outwardBlock(block, this._config.stackPaths);
    const attributes = blockAttributes(told, blockSpan.suppressed);
    span.setAttributes(attributes);
    blockSpan.linkLater();
    // Else no query for blamed spans would find it.
    if (blockSpan.isUnmarked) span.setAttribute(ATTR_BLOCKED, true);
    this._guard.run('run blockHook', () => this._config.blockHook?.(block, span));
    span.end(extentOf(block, Date.now()).endTimeMillis);
    emitBlockEvent(logger, told, attributes);
  }
}

/** Whether the block span is to be a child of the span, and that span has ended. */
function isEndedParent({ span }: SpanShare, { block }: OpenBlock): boolean {
  return block.blamed[0]?.span === span && endOf(span) !== undefined;
}
