// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import type { StackFrame } from '../types.js';

/** From where a call of `require`, of what stands for it in a bundle, or of `import` begins. */
const LITERAL = /^(?:await\s+)?(?:[\w$.]+\s*)?\(\s*(?:\/\*.*?\*\/\s*)?(?:(["'])([^"'\n]+)\1|`([^`$\n]+)`)/;

/** `frame` with the module that it loads as the code has it, where that is a literal; reads the file. */
export function nameModule<F extends StackFrame>(frame: F): F {
  if (frame.loadedModule === undefined) return frame;
  try {
    const line = readFileSync(frame.filePath, 'utf8').split('\n')[frame.lineNumber - 1] ?? '';
    const [, , quoted, template] = LITERAL.exec(line.slice(frame.columnNumber - 1)) ?? [];
    const name = quoted ?? template;
    return name === undefined ? frame : { ...frame, loadedModule: name };
  } catch {
    return frame;
  }
}
