// SPDX-License-Identifier: Apache-2.0
import { type Style, stackLines } from '../debug/paragraph.js';
import { describeWhere } from '../words/code.js';
import { describeHang } from '../words/sentence.js';
import type { InsideSpan } from './messages.js';
import type { Snapshot } from './snapshot.js';

/** A snapshot as a person wants to read it. */
export function describeSnapshot(pid: number, snapshot: Snapshot, style: Style): string {
  const { location, span, isBlocked, blockedMillis, busyShare, cpuShare, queuedShare = 0, hasOpenTelemetry } = snapshot;
  const lines: string[] = [];
  if (isBlocked) {
    const sentence = describeHang(
      blockedMillis,
      false,
      span?.name || undefined,
      location,
      undefined,
      span?.entry?.name,
    );
    const [, head = '', rest = ''] =
      /^(event loop hangs: blocked for (?:at least )?[\d.]+ s)(.*)$/s.exec(sentence) ?? [];
    // When it began nobody knows who was not there.
    lines.push(`process ${pid}: ${style.strong(head.replace('blocked for', 'blocked for at least'))}${rest}`);
  } else if (location) {
    const busy = percent(busyShare);
    lines.push(`process ${pid}: the event loop turns, ${busy} busy; most often seen ${describeWhere(location.frame)}`);
  } else {
    lines.push(`process ${pid}: the event loop turns, ${percent(busyShare)} busy; nothing blocks it now`);
  }
  if (location) lines.push(...stackLines(location, style));
  if (cpuShare !== undefined) {
    const how = cpuShare + queuedShare >= 0.5 ? 'computes' : isBlocked ? 'waits' : 'mostly idle';
    const queued = queuedShare >= 0.1 ? `, and for ${percent(queuedShare)} of the time ready for one` : '';
    lines.push(style.weak(`    main thread: ${how}, ${percent(cpuShare)} of a core${queued}`));
  }
  if (span) lines.push(style.weak(`    span: ${describeSpan(span)}`));
  else if (hasOpenTelemetry && location) lines.push(style.weak('    span: none is active'));
  if (!isBlocked) lines.push(style.weak('    what stutters shows with --seconds 30'));
  return `${lines.join('\n')}\n`;
}

function describeSpan({ name, traceId, spanId, ageMillis, entry }: InsideSpan): string {
  const age = ageMillis === undefined ? '' : `, started ${(ageMillis / 1000).toFixed(1)} s ago`;
  const whole = entry === undefined || entry.name === name ? '' : ` in ${entry.name}`;
  return `"${name}"${whole}, trace ${traceId}, span ${spanId}${age}`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
