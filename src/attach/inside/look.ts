// SPDX-License-Identifier: Apache-2.0

/**
 * A look into a process that knows nothing of us. Sent to it as text and run in the midst of whatever it is in, like a signal
 * handler: it only reads.
 */
import { type Context, ROOT_CONTEXT } from '@opentelemetry/api';
import { entryOf, requestOf } from '../../otel/entry.js';
import { registered } from '../../otel/registered.js';
import { knownNameOf, startOf } from '../../otel/span-facts.js';
import { spanOf } from '../../otel/span-of.js';
import { callSites } from '../../system/call-sites.js';
import { rememberLastMatch } from '../../system/last-match.js';
import { PACKAGE_NAME } from '../../version.js';
import { plainEntry } from '../../words/entry.js';
import type { InsideLook, InsideSpan } from '../messages.js';

const MAX_FRAMES = 200;

export function look(): InsideLook {
  const sites = callSites(look, MAX_FRAMES);
  const { nodeTiming } = performance as unknown as {
    nodeTiming: { idleTime: number; uvMetricsInfo?: { loopCount: number } };
  };
  return {
    at: performance.now(),
    idleMillis: nodeTiming.idleTime,
    loopCount: nodeTiming.uvMetricsInfo?.loopCount ?? 0,
    isCut: sites.length >= MAX_FRAMES,
    frames: sites.map((site) => ({
      text: String(site),
      functionName: site.getFunctionName(),
      file: site.getFileName() ?? '',
      line: site.getLineNumber() ?? 0,
      column: site.getColumnNumber() ?? 0,
      startLine: site.getEnclosingLineNumber?.() ?? 0,
      startColumn: site.getEnclosingColumnNumber?.() ?? 0,
    })),
    hasOpenTelemetry: registered()?.context !== undefined,
    isWatched: (globalThis as unknown as Record<symbol, unknown>)[Symbol.for(PACKAGE_NAME)] !== undefined,
    span: activeSpan(),
  };
}

function activeSpan(): InsideSpan | undefined {
  const bringBack = rememberLastMatch();
  try {
    const active: Context = registered()?.context?.active() ?? ROOT_CONTEXT;
    const span = spanOf(active);
    if (span === undefined) return undefined;
    const { traceId, spanId } = span.spanContext();
    const entry = entryOf(span, requestOf(active));
    const startedAt = startOf(span);
    return {
      traceId,
      spanId,
      name: entry?.span === span ? entry.name : (knownNameOf(span) ?? ''),
      ageMillis: startedAt === undefined ? undefined : Date.now() - startedAt,
      entry: entry && plainEntry(entry),
    };
  } catch {
    // Spans of other SDKs need not be what the API says they are.
    return undefined;
  } finally {
    bringBack();
  }
}
