// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { Block, CodeLocation, StackFrame } from '../../src/types.js';
import { codeAttributes, describeFrame, functionAttributes } from '../../src/words/code.js';
import { outwardBlock, outwardFrame, outwardLocation } from '../../src/words/paths.js';

const HERE = process.cwd();

function frame(functionName: string, filePath: string, text?: string): StackFrame {
  const place = `${filePath}:42:7`;
  return { functionName, filePath, lineNumber: 42, columnNumber: 7, text: text ?? `${functionName} (${place})` };
}
const OWN = frame('buildReport', `${HERE}/src/report.ts`);

describe('a path that leaves the process', () => {
  it.each<[string, StackFrame, string, string]>([
    ['of the application', OWN, 'src/report.ts', 'buildReport (src/report.ts:42:7)'],
    ['without a name', frame('<anonymous>', `${HERE}/a.js`, `${HERE}/a.js:42:7`), 'a.js', 'a.js:42:7'],
    [
      'an async one without a name',
      frame('<anonymous>', `${HERE}/a.js`, `async ${HERE}/a.js:42:7`),
      'a.js',
      'async a.js:42:7',
    ],
    ['an async one', frame('f', `${HERE}/a.js`, `async f (file://${HERE}/a.js:42:7)`), 'a.js', 'async f (a.js:42:7)'],
    [
      'a method',
      frame('Shop.sell', `${HERE}/a b.js`, `new Shop.sell [as buy] (${HERE}/a b.js:42:7)`),
      'a b.js',
      'new Shop.sell [as buy] (a b.js:42:7)',
    ],
    [
      'of a library',
      frame('get', `${HERE}/node_modules/got/index.js`),
      'node_modules/got/index.js',
      'get (node_modules/got/index.js:42:7)',
    ],
    [
      'of a library elsewhere',
      frame('get', '/opt/lib/node_modules/@a/b/c.js'),
      'node_modules/@a/b/c.js',
      'get (node_modules/@a/b/c.js:42:7)',
    ],
    ['of a file elsewhere', frame('f', '/home/me/secret project/x.js'), 'x.js', 'f (x.js:42:7)'],
    ['on Windows', frame('f', 'C:\\Users\\me\\x.js'), 'x.js', 'f (x.js:42:7)'],
    ['of Node.js', frame('readFileSync', 'node:fs'), 'node:fs', 'readFileSync (node:fs:42:7)'],
    ['of an URL', frame('f', 'https://me:key@host/secret/x.js?key=1'), 'x.js', 'f (x.js:42:7)'],
    ['of code in an URL', frame('f', 'data:text/javascript,f()/g'), 'data:', 'f (data::42:7)'],
  ])('is relative, %s', (_, given, filePath, text) => {
    expect(outwardFrame(given, 'relative')).toEqual({ ...given, filePath, text });
    expect(outwardFrame(given, 'absolute')).toBe(given);
  });

  it('is none of those in the text of a frame without a file', () => {
    const native = {
      functionName: 'Array.map',
      filePath: '',
      lineNumber: 0,
      columnNumber: 0,
      text: 'Array.map (<anonymous>)',
    };
    expect(outwardFrame(native, 'relative')).toEqual(native);
    const evaluated = {
      ...native,
      functionName: 'eval',
      text: `eval (eval at run (${HERE}/a.js:1:2), <anonymous>:42:7)`,
    };
    expect(outwardFrame(evaluated, 'relative').text).toBe('eval (<anonymous>)');
  });
});

describe('what leaves the process of a block', () => {
  const library = frame('get', '/opt/node_modules/got/index.js');
  const location: CodeLocation = { frame: OWN, stack: [library, OWN], accuracy: 'during', share: 1 };
  const part = { frame: OWN, durationMillis: 100, selfMillis: 100 };
  const block = { location, functions: [part], hottest: part } as unknown as Block;
  const told = (out: Block) => ({
    ...(out.location && codeAttributes(out.location)),
    ...functionAttributes(out.functions),
    sentence: describeFrame((out.hottest as typeof part).frame),
  });

  it('has absolute paths, unless told otherwise', () => {
    expect(outwardBlock(block, 'absolute')).toBe(block);
    expect(told(block)).toMatchObject({ 'code.file.path': `${HERE}/src/report.ts` });
  });

  it('has relative paths, everywhere', () => {
    const out = told(outwardBlock(block, 'relative'));
    expect(out).toMatchObject({
      'code.function.name': 'buildReport',
      'code.file.path': 'src/report.ts',
      'code.line.number': 42,
      'code.stacktrace': '    at get (node_modules/got/index.js:42:7)\n    at buildReport (src/report.ts:42:7)',
      'eventloop.block.function_names': ['buildReport (src/report.ts:42:7)'],
      sentence: 'buildReport (src/report.ts:42:7)',
    });
    expect(JSON.stringify(out)).not.toMatch(/\/opt|\/work|file:/);
    expect(JSON.stringify(out)).not.toContain(HERE);
  });

  it('has names of functions alone', () => {
    const out = outwardBlock(block, 'none');
    expect(codeAttributes(out.location as CodeLocation)).toEqual({
      'code.function.name': 'buildReport',
      'eventloop.block.stack_accuracy': 'during',
    });
    expect(told(out)).toMatchObject({ 'eventloop.block.function_names': ['buildReport'], sentence: 'buildReport' });
  });

  it.each([
    [`${HERE}/src/big.cjs`, 'src/big.cjs', ''],
    ['./big.cjs', './big.cjs', ''],
    ['typescript', 'typescript', 'typescript'],
    ['@a/b/c', '@a/b/c', '@a/b/c'],
    ['/opt/x/node_modules/@a/b/lib/c.js', '@a/b/lib/c.js', '@a/b'],
    ['/home/me/shop.js', 'shop.js', ''],
    ['', '', ''],
  ])('of the module %j: %j, or %j', (loadedModule, relative, none) => {
    expect(outwardFrame({ ...OWN, loadedModule }, 'relative').loadedModule).toBe(relative);
    const alone = outwardFrame({ ...OWN, loadedModule }, 'none');
    expect(alone.loadedModule).toBe(none);
    expect(describeFrame(alone)).toBe(none ? `loading module "${none}"` : 'loading a module');
  });

  it('leaves what the application itself is given as it was', () => {
    outwardBlock(block, 'none');
    expect(block.location).toBe(location);
    expect(location.stack[1]).toBe(OWN);
  });

  it('knows the libraries of a deep stack, whatever their paths become', () => {
    const stack = [...Array.from({ length: 100 }, () => frame('inner', `${HERE}/node_modules/a/b.js`)), OWN];
    const out = outwardLocation({ ...location, stack }, 'relative');
    expect(codeAttributes(out)['code.stacktrace']).toContain('buildReport (src/report.ts:42:7)');
  });
});
