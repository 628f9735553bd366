// SPDX-License-Identifier: Apache-2.0
// Starts the server, and starts it again whenever it ends.
import cluster from 'node:cluster';
import { fileURLToPath } from 'node:url';

cluster.setupPrimary({
  exec: fileURLToPath(new URL('./server.mjs', import.meta.url)),
  execArgv: ['--import', new URL('../../demo/tracing.mjs', import.meta.url).href],
});
cluster.on('listening', (_, { port }) => process.send?.({ url: `http://127.0.0.1:${port}` }));
cluster.on('exit', (_, code, signal) => {
  process.send?.({ ended: signal ?? code });
  cluster.fork();
});
cluster.fork();

process.once('disconnect', () => {
  cluster.removeAllListeners('exit');
  for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGKILL');
});
