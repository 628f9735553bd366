// SPDX-License-Identifier: Apache-2.0
import pg from 'pg';
import { DATABASE_URL } from '../database-url.mjs';
import { inSpan } from '../span.mjs';

const pool = new pg.Pool({ connectionString: DATABASE_URL, max: Number(process.env.POOL_MAX) });
process.once('disconnect', () => pool.end());

export async function withConnection(fn) {
  const connection = await inSpan('acquire connection', () => pool.connect());
  try {
    return await fn(connection);
  } finally {
    connection.release();
  }
}

export const query = (text, values) => withConnection((connection) => connection.query(text, values));
