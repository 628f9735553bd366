// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { paragraph, styleFor } from '../../src/debug/paragraph.js';
import type { StackFrame } from '../../src/types.js';
import { blockOf } from '../support/block.js';

function frame(functionName: string, filePath: string): StackFrame {
  const text = `${functionName} (${filePath}:4:2)`;
  return { functionName, filePath, lineNumber: 4, columnNumber: 2, text };
}

const stack = [frame('guilty', '/app/a.js'), frame('next', '/app/node_modules/lib/b.js'), frame('main', '/app/c.js')];
const block = blockOf({
  durationMillis: 80.4,
  location: { frame: stack[0] as StackFrame, stack, accuracy: 'during', share: 1 },
  cause: 'gc',
  gcMillis: 70,
  asyncResource: 'Timeout',
});

it('says how long, why and where, and only counts frames of libraries', () => {
  expect(paragraph(block, styleFor(false))).toBe(
    'event loop blocked for 80 ms (cause: gc (garbage collection), in: Timeout)\n' +
      '  > guilty (/app/a.js:4:2)\n    ... 1 more frame\n    main (/app/c.js:4:2)\n',
  );
});

it('marks the culprit with colour where there are colours, whatever stdout is', () => {
  expect(paragraph(block, styleFor(true))).toContain('\u001b[33m  > guilty (/app/a.js:4:2)\u001b[39m\n');
});
