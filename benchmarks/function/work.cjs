// SPDX-License-Identifier: Apache-2.0
// One real tool at work, in blocks of the event loop as it makes them. Tells of every block what the package named, and
// its beginning and end on the clock of the CPU profile that Node.js writes of the same process.
'use strict';
const { subscribe } = require('node:diagnostics_channel');
const { readdirSync, readFileSync, writeFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { join } = require('node:path');
const vm = require('node:vm');

const [name, packageFile, outputFile] = process.argv.slice(2);
const requireTool = createRequire(join(process.cwd(), 'x.cjs'));
const modules = join(process.cwd(), 'node_modules');

const { EventLoopInstrumentation } = require(packageFile);
new EventLoopInstrumentation({ hangThresholdMillis: 0, maxBlocksPerMinute: 1_000_000 });
const blocks = [];
const toProfileClock =
  Number(process.hrtime.bigint() / 1000n) - performance.now() * 1000 - performance.timeOrigin * 1000;
subscribe('opentelemetry-instrumentation-event-loop:block', (block) => {
  const { location, functions = [] } = block;
  blocks.push({
    millis: block.durationMillis,
    startMicros: block.startTimeMillis * 1000 + toProfileClock,
    endMicros: block.endTimeMillis * 1000 + toProfileClock,
    frame: location?.frame,
    functions: functions.map(({ frame, durationMillis }) => ({ frame, millis: durationMillis })),
  });
});
process.on('exit', () => writeFileSync(outputFile, JSON.stringify(blocks)));

const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

function filesBelow(folder, ending, most) {
  const files = readdirSync(join(modules, folder), { recursive: true }).filter((file) => file.endsWith(ending));
  return files.slice(0, most).map((file) => join(modules, folder, file));
}

function flat(millis) {
  const names = Array.from({ length: 50 }, (_, i) => `helper${i}`);
  const spin = 'const until = performance.now() + 1; while (performance.now() < until);';
  const bodies = names.map((of) => `function ${of}() { ${spin} }`);
  const helpers = vm.runInThisContext(`(() => { ${bodies.join('\n')}\nreturn [${names}]; })()`, {
    filename: join(process.cwd(), 'helpers.cjs'),
  });
  function buildSchema() {
    const until = performance.now() + millis;
    while (performance.now() < until) for (const helper of helpers) helper();
  }
  return () => buildSchema();
}

/** Each prepares, and returns what is done over and over. */
const WORK = {
  'flat 150': () => flat(150),
  'flat 1000': () => flat(1000),
  'flat 5000': () => flat(5000),

  eslint() {
    const { Linter } = requireTool('eslint');
    const js = requireTool('@eslint/js');
    const files = filesBelow('eslint/lib/rules', '.js', 60).map((file) => readFileSync(file, 'utf8'));
    const linter = new Linter();
    return () => {
      for (const text of files) linter.verify(text, js.configs.all, { filename: 'rule.js' });
    };
  },

  tsc() {
    const ts = requireTool('typescript');
    const roots = [join(modules, 'ajv/lib/ajv.ts')];
    const options = { noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022, types: [] };
    return () => {
      const program = ts.createProgram(roots, options);
      return program.getSemanticDiagnostics().length + program.getSyntacticDiagnostics().length;
    };
  },

  webpack() {
    const webpack = requireTool('webpack');
    const config = {
      mode: 'production',
      context: process.cwd(),
      entry: ['graphql', 'lodash', 'jsonata', 'ajv'].map((of) => requireTool.resolve(of)),
      output: { path: join(process.cwd(), 'out') },
      optimization: { minimize: false },
    };
    return () =>
      new Promise((resolve, reject) => {
        const compiler = webpack(config);
        compiler.run((error) => compiler.close(() => (error ? reject(error) : resolve())));
      });
  },

  prettier() {
    const prettier = requireTool('prettier');
    const files = filesBelow('eslint/lib/rules', '.js', 25).map((file) => readFileSync(file, 'utf8'));
    return () => Promise.all(files.map((text) => prettier.format(text, { parser: 'babel' })));
  },

  ajv() {
    const Ajv = requireTool('ajv');
    const property = (i) => ({ type: 'string', minLength: i, pattern: `^x{${i % 9}}`, enum: [`a${i}`, `b${i}`] });
    const schema = (n) => ({
      type: 'object',
      properties: Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`property${i}`, property(i + n)])),
      required: ['property1', 'property2'],
      additionalProperties: false,
    });
    return () => {
      const ajv = new Ajv();
      for (let n = 0; n < 25; n++) ajv.compile(schema(n));
    };
  },

  JSONata() {
    const jsonata = requireTool('jsonata');
    const orders = Array.from({ length: 20_000 }, (_, i) => ({
      id: i,
      price: i % 97,
      quantity: i % 7,
      tag: `t${i % 20}`,
    }));
    const expression = jsonata('$sum(orders[price > 10].(price * quantity)) + $count(orders[tag = "t3"])');
    return () => expression.evaluate({ orders });
  },

  'GraphQL schema': () => {
    const { buildSchema, validateSchema, printSchema } = requireTool('graphql');
    const fields = Array.from({ length: 30 }, (_, i) => `field${i}(first: Int, after: String): String`).join('\n');
    const types = Array.from({ length: 500 }, (_, i) => `"""Type ${i}""" type Type${i} { ${fields} }`);
    const text = `${types.join('\n')}\ntype Query { ${types.map((_, i) => `type${i}: Type${i}`).join('\n')} }`;
    return () => {
      const schema = buildSchema(text);
      validateSchema(schema);
      return printSchema(schema).length;
    };
  },

  'GraphQL query': () => {
    const { buildSchema, graphql } = requireTool('graphql');
    const schema = buildSchema(
      'type Post { id: Int title: String body: String author: Int } type Query { posts: [Post] }',
    );
    const posts = Array.from({ length: 120_000 }, (_, id) => ({
      id,
      title: `Post ${id}`,
      body: 'text',
      author: id % 100,
    }));
    return () => graphql({ schema, source: '{ posts { id title body author } }', rootValue: { posts } });
  },
};

async function main() {
  const work = WORK[name]();
  const times = name.startsWith('flat') ? Number(process.env.FLAT_TIMES ?? 6) : Number(process.env.TIMES ?? 4);
  await sleep(300);
  for (let i = 0; i < times; i++) {
    await new Promise((resolve, reject) => {
      setTimeout(function atWork() {
        Promise.resolve(work()).then(resolve, reject);
      }, 20);
    });
    await sleep(150);
  }
}
main();
