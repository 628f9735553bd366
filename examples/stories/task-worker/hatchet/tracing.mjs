// SPDX-License-Identifier: Apache-2.0
// Hatchet's own instrumentor, behind the ordinary set-up. Spans go where the set-up sends them, and not to the engine.
import { HatchetInstrumentor } from '@hatchet-dev/typescript-sdk/opentelemetry/index.js';
import { registerInstrumentations } from '@opentelemetry/instrumentation';

registerInstrumentations({
  instrumentations: [new HatchetInstrumentor({ enableHatchetCollector: false, includeTaskNameInSpanName: true })],
});
