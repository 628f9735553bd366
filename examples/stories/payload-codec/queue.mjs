// SPDX-License-Identifier: Apache-2.0
// An in-process task queue: what is scheduled is started in order, so many at a time, each in a CONSUMER span.
import { context, SpanKind } from '@opentelemetry/api';
import { inSpan } from './span.mjs';

export class TaskQueue {
  #waiting = [];
  #free;

  constructor(slots) {
    this.#free = slots;
  }

  /** Resolves to what `task` resolves to. */
  schedule(name, task) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ name, task, resolve, reject, scheduledAt: performance.now(), parent: context.active() });
      this.#startNext();
    });
  }

  #startNext() {
    if (this.#free === 0 || this.#waiting.length === 0) return;
    this.#free--;
    const { name, task, resolve, reject, scheduledAt, parent } = this.#waiting.shift();
    // Later: whoever schedules a task does not run it.
    setImmediate(() => {
      const attributes = { 'task.schedule_to_start': performance.now() - scheduledAt };
      context
        .with(parent, inSpan, undefined, `task ${name}`, { kind: SpanKind.CONSUMER, attributes }, task)
        .then(resolve, reject)
        .finally(() => {
          this.#free++;
          this.#startNext();
        });
    });
  }
}
