// SPDX-License-Identifier: Apache-2.0
import type { Span } from '@opentelemetry/api';

/** A base class whose constructor returns what it is given: private fields of a subclass then land on that very span. */
export class Given {
  constructor(span: Span) {
    return span;
  }
}
