// SPDX-License-Identifier: Apache-2.0
import pg from 'pg';
import { DATABASE_URL } from '../database-url.mjs';
import { inSpan } from '../span.mjs';

const client = new pg.Client(DATABASE_URL);
await client.connect();
process.once('disconnect', () => client.end());

let turns = Promise.resolve();

/** The one connection of the whole service, for whose turn it is. */
export async function withConnection(fn) {
  const before = turns;
  let done;
  turns = new Promise((resolve) => (done = resolve));
  await inSpan('acquire connection', () => before);
  try {
    return await fn(client);
  } finally {
    done();
  }
}

export const query = (text, values) => withConnection((connection) => connection.query(text, values));
