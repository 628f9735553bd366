// SPDX-License-Identifier: Apache-2.0
// PostgreSQL without a server to install: PGlite behind a socket. It computes on the event loop of its process, so it has
// one of its own. It takes a port that is free and says which. `SEED` (SQL).
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';

const db = await PGlite.create();
if (process.env.SEED) await db.exec(process.env.SEED);
const server = new PGLiteSocketServer({ db, host: '127.0.0.1', port: 0, maxConnections: 60 });
await server.start();
process.send({ url: `postgres://postgres:postgres@${server.getServerConn()}/postgres?sslmode=disable` });
process.once('disconnect', () => process.exit());
