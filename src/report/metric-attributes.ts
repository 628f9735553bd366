// SPDX-License-Identifier: Apache-2.0
import type { Attributes } from '@opentelemetry/api';
import type { ResolvedConfig } from '../config.js';
import * as semconv from '../semconv.js';
import type { Guard } from '../system/guard.js';
import type { Block } from '../types.js';
import { entryAttributes } from '../words/entry.js';

/** So many sets of values become series of their own; later ones are counted together. Each is 17 series for each cause. */
const MAX_SETS = 100;
/** As the OpenTelemetry specification has it of a metric with too many attribute sets. */
const OVERFLOW = { [semconv.ATTR_METRIC_OVERFLOW]: true };
const NONE: Attributes = {};

/** What the user wants on the block metrics, and no more of it than a back-end can bear. */
export class MetricAttributes {
  private readonly _seen = new Set<string>();

  constructor(
    private readonly _wanted: ResolvedConfig['metricAttributes'],
    private readonly _guard: Guard,
  ) {}

  of(block: Block): Attributes {
    if (this._wanted === undefined) return NONE;
    const attributes = typeof this._wanted === 'function' ? this._ask(this._wanted, block) : pick(this._wanted, block);
    const values = Object.entries(attributes).filter(([, value]) => /^(?:string|number|boolean)$/.test(typeof value));
    if (values.length === 0) return NONE;
    const key = JSON.stringify(values.sort(([a], [b]) => (a < b ? -1 : 1)));
    if (!this._seen.has(key)) {
      if (this._seen.size >= MAX_SETS) return OVERFLOW;
      this._seen.add(key);
    }
    return Object.fromEntries(values);
  }

  private _ask(wanted: (block: Block) => Attributes, block: Block): Attributes {
    let attributes: Attributes | undefined;
    this._guard.run('run metricAttributes', () => {
      attributes = wanted(block);
    });
    return attributes ?? NONE;
  }
}

function pick(names: readonly string[], { entry }: Block): Attributes {
  if (entry === undefined) return NONE;
  const known = entryAttributes(entry);
  return Object.fromEntries(names.map((name) => [name, known[name]]));
}
