// SPDX-License-Identifier: Apache-2.0
// Answers a GraphQL query for PAGES pages of ITEMS items with FIELDS fields, each field in a span of its own, as the
// instrumentation does without options. A page comes with an iteration of its own, so that nothing blocks. MODE: see
// ../server.mjs.
import { createRequire } from 'node:module';
import { GraphQLInstrumentation } from '@opentelemetry/instrumentation-graphql';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { answer, ours } from '../server.mjs';

const PAGES = 300;
const ITEMS = 20;
const FIELDS = ['id', 'name', 'price', 'stock'];

let spans = 0;
const counter = {
  onStart() {},
  onEnd: () => spans++,
  forceFlush: () => Promise.resolve(),
  shutdown: () => Promise.resolve(),
};
new NodeSDK({
  instrumentations: [new HttpInstrumentation(), new GraphQLInstrumentation(), ...ours()],
  spanProcessors: [counter],
  metricReaders: [],
  logRecordProcessors: [],
}).start();

// After the SDK, so that their instrumentations see them being loaded.
const require = createRequire(import.meta.url);
const http = require('node:http');
const { graphql, GraphQLList, GraphQLObjectType, GraphQLSchema, GraphQLString } = require('graphql');

const Item = new GraphQLObjectType({
  name: 'Item',
  fields: Object.fromEntries(FIELDS.map((name) => [name, { type: GraphQLString, resolve: (item) => item[name] }])),
});
const Page = new GraphQLObjectType({
  name: 'Page',
  fields: { items: { type: new GraphQLList(Item), resolve: itemsOf } },
});
const Query = new GraphQLObjectType({
  name: 'Query',
  fields: { pages: { type: new GraphQLList(Page), resolve: pages } },
});
const schema = new GraphQLSchema({ query: Query });
const source = `{ pages { items { ${FIELDS.join(' ')} } } }`;

/** One page is ready with each iteration. */
function pages() {
  let before = Promise.resolve();
  return Array.from({ length: PAGES }, (_, page) => {
    before = before.then(() => new Promise((resolve) => setImmediate(resolve, { page })));
    return before;
  });
}

function itemsOf({ page }) {
  return Array.from({ length: ITEMS }, (_, i) => ({
    id: `${page}-${i}`,
    name: `Article ${i}`,
    price: `${i}.50`,
    stock: `${i * 10}`,
  }));
}

const server = http.createServer(async (_request, response) => {
  const { data, errors } = await graphql({ schema, source });
  response.statusCode = errors ? 500 : 200;
  response.end(`${data.pages.length}`);
});
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
answer(() => ({ spans }));
