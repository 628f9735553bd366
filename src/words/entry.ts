// SPDX-License-Identifier: Apache-2.0
import * as semconv from '../semconv.js';
import type { EntryOperation } from '../types.js';

/** An entry operation as it can be sent: `attributes` only where no exported span has them. */
export interface PlainEntry {
  readonly name: string;
  readonly kind?: EntryOperation['kind'] | undefined;
  readonly route?: string | undefined;
  readonly attributes?: EntryOperation['attributes'] | undefined;
}

/** Of an unsampled request nothing else says what it asked for. */
export function plainEntry({ span, name, kind, route, attributes }: EntryOperation): PlainEntry {
  const isSampled = (span.spanContext().traceFlags & SAMPLED) !== 0;
  return { name, kind, route, ...(!isSampled && { attributes }) };
}

/** `TraceFlags.SAMPLED`. Its enum would drag the API into the watchdog's thread. */
const SAMPLED = 1;

/** As attributes of what a block or a hang is told by. */
export function entryAttributes({ name, kind, route, attributes }: PlainEntry): EntryOperation['attributes'] {
  return {
    ...attributes,
    ...(name !== '' && { [semconv.ATTR_ENTRY_NAME]: name }),
    ...(kind && { [semconv.ATTR_ENTRY_KIND]: kind }),
    ...(route !== undefined && { [semconv.ATTR_HTTP_ROUTE]: route }),
  };
}
