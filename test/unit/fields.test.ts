// SPDX-License-Identifier: Apache-2.0
// What an object needs it is given when it is made, or through a method: no field of a class is assigned from another file.
import { dirname, relative, resolve } from 'node:path';
import ts from 'typescript';
import { expect, it } from 'vitest';

const REPOSITORY = resolve(import.meta.dirname, '../..');

/**
 * What may be written to all the same. Per callback, a call of a method is more than what it would do: the recorder keeps
 * its accounts in the tallies themselves.
 */
const EXCEPTIONS = [
  'Tally.totalMicros',
  'Tally.shareMicros',
  'Tally.iteration',
  'Tally.behindMicros',
  'Tally.ticket',
  'Tally.hasEnded',
  // An object made right there.
  'HookOptions.after',
];

function programOf(files: readonly string[], host?: ts.CompilerHost): ts.Program {
  const { config } = ts.readConfigFile(`${REPOSITORY}/tsconfig.json`, ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, REPOSITORY);
  return ts.createProgram(files, { ...options, noEmit: true, skipLibCheck: true }, host);
}

/** Whether `node` stands in the file of `owner`, which may have helpers, or in a class that is derived from it. */
function isAtHome(node: ts.Node, owner: ts.Node, checker: ts.TypeChecker): boolean {
  if (node.getSourceFile() === owner.getSourceFile()) return true;
  for (let at: ts.Node | undefined = node; at !== undefined; at = at.parent) {
    if (!ts.isClassLike(at)) continue;
    for (let base = baseOf(at, checker); base !== undefined; base = baseOf(base, checker))
      if (base === owner) return true;
  }
  return false;
}

function baseOf(node: ts.Node, checker: ts.TypeChecker): ts.Declaration | undefined {
  if (!ts.isClassLike(node)) return undefined;
  const extended = node.heritageClauses?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)?.types[0];
  return extended && checker.getTypeAtLocation(extended).symbol?.declarations?.[0];
}

/** What is assigned by `node`, if that is a property of something. */
function assigned(node: ts.Node): ts.PropertyAccessExpression | undefined {
  let target: ts.Node | undefined;
  if (ts.isBinaryExpression(node) && isAssignment(node.operatorToken.kind)) target = node.left;
  else if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
    const isStep = node.operator === ts.SyntaxKind.PlusPlusToken || node.operator === ts.SyntaxKind.MinusMinusToken;
    if (isStep) target = node.operand;
  }
  return target !== undefined && ts.isPropertyAccessExpression(target) ? target : undefined;
}

interface Assignment {
  /** `Class.field` */
  readonly what: string;
  readonly where: string;
}

/** Each assignment to a field of a class from another file, or to a function that an interface asks for. */
function assignmentsFromOutside(program: ts.Program, isOurs: (file: string) => boolean): Assignment[] {
  const checker = program.getTypeChecker();
  const found: Assignment[] = [];
  const look = (node: ts.Node): void => {
    const target = assigned(node);
    const symbol = target && checker.getSymbolAtLocation(target.name);
    for (const declaration of symbol?.declarations ?? []) {
      if (!target || !isOurs(declaration.getSourceFile().fileName)) continue;
      const owner = ts.isParameter(declaration) ? declaration.parent.parent : declaration.parent;
      const isField = ts.isClassLike(owner);
      const isCallback = ts.isInterfaceDeclaration(owner) && isFunction(checker.getTypeAtLocation(target));
      if (isField ? isAtHome(target, owner, checker) : !isCallback) continue;
      const file = node.getSourceFile();
      const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1;
      found.push({
        what: `${(owner as ts.ClassLikeDeclaration | ts.InterfaceDeclaration).name?.text}.${symbol?.name}`,
        where: `${relative(REPOSITORY, file.fileName)}:${line}`,
      });
    }
    ts.forEachChild(node, look);
  };
  for (const file of program.getSourceFiles()) if (isOurs(file.fileName)) look(file);
  return found;
}

function isAssignment(kind: ts.SyntaxKind): boolean {
  return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment;
}

function isFunction(type: ts.Type): boolean {
  const types = type.isUnion() ? type.types : [type];
  return types.some((one) => one.getCallSignatures().length > 0);
}

it('has no field of a class that another file assigns, beside those named here', () => {
  const entries = ['index', 'register', 'debug', 'watchdog/worker/main'];
  const program = programOf(entries.map((entry) => `${REPOSITORY}/src/${entry}.ts`));
  const found = assignmentsFromOutside(program, (file) => file.startsWith(`${REPOSITORY}/src/`));
  expect(found.filter(({ what }) => !EXCEPTIONS.includes(what))).toEqual([]);
  const unneeded = EXCEPTIONS.filter((exception) => !found.some(({ what }) => what === exception));
  expect(unneeded).toEqual([]);
});

it('would notice', () => {
  const folder = dirname(REPOSITORY);
  const made: Record<string, string> = {
    [`${folder}/meter.ts`]: `
      export class Meter { listener: (() => void) | undefined; count = 0; constructor(public name: string) {} beat() { this.count++; } }
      export interface Follower { onSpan: () => void; times: number }`,
    [`${folder}/wire.ts`]: `
      import { type Follower, Meter } from './meter.js';
      class Derived extends Meter { override beat() { this.count--; } }
      export function wire(meter: Meter, follower: Follower) {
        meter.listener = () => {};
        meter.count++;
        meter.name ??= '';
        follower.onSpan = () => {};
        follower.times = 1;
        new Derived('').beat();
      }`,
  };
  const host = ts.createCompilerHost({});
  const { fileExists, getSourceFile } = host;
  host.fileExists = (name) => name in made || fileExists(name);
  host.getSourceFile = (name, options) =>
    name in made
      ? ts.createSourceFile(name, made[name] as string, options, true)
      : getSourceFile.call(host, name, options);
  const found = assignmentsFromOutside(programOf(Object.keys(made), host), (name) => name in made);
  expect(found.map(({ what }) => what)).toEqual(['Meter.listener', 'Meter.count', 'Meter.name', 'Follower.onSpan']);
});
