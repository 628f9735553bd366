// SPDX-License-Identifier: Apache-2.0
// As `psql -c`: one query from the command line, its rows as JSON.
import pg from 'pg';
import { DATABASE_URL } from './database-url.mjs';

const client = new pg.Client(DATABASE_URL);
await client.connect();
const { rows } = await client.query(process.argv[2]);
console.log(JSON.stringify(rows));
await client.end();
