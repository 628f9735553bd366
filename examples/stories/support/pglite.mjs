// SPDX-License-Identifier: Apache-2.0
// PostgreSQL without a server to install: PGlite behind a socket. It computes on the event loop of its process, so it has
// one of its own. `PORT`, `SEED` (SQL).
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';

const port = Number(process.env.PORT);
const db = await PGlite.create();
if (process.env.SEED) await db.exec(process.env.SEED);
await new PGLiteSocketServer({ db, host: '127.0.0.1', port, maxConnections: 60 }).start();
process.send({ url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres?sslmode=disable` });
process.once('disconnect', () => process.exit());
