// SPDX-License-Identifier: Apache-2.0
import { channel } from 'node:diagnostics_channel';
import type { OpenBlock } from '../model.js';
import { CHANNEL_BLOCK } from '../semconv.js';
import type { Guard } from '../system/guard.js';

const blockChannel = channel(CHANNEL_BLOCK);

/** In the place of the reporter: publishes blocks, and writes nothing on spans, into telemetry or the log. */
export class QuietReporter {
  constructor(private readonly _guard: Guard) {}

  /** See `BlockListener`, like all that follow. */
  onBlock({ block }: OpenBlock): void {
    this._guard.run('report a block', () => blockChannel.publish(block));
  }

  onBlamed(): void {}
  onSpanTime(): void {}
  onStalled(): void {}
  onStartUp(): void {}
  onDelay(): void {}
}
