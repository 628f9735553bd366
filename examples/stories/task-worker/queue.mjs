// SPDX-License-Identifier: Apache-2.0
import { makeWorkerUtils } from 'graphile-worker';
import { until } from '../support/process.mjs';

/** graphile-worker, from the side of those who give it tasks. */
export async function openQueue({ DATABASE_URL }) {
  const queue = await makeWorkerUtils({ connectionString: DATABASE_URL, noPreparedStatements: true });
  await queue.migrate();
  return {
    add: (name) => queue.addJob(name, {}),
    async allDone() {
      const isDone = () =>
        queue.withPgClient(async (client) => {
          const { rows } = await client.query('select count(*) as count from graphile_worker.jobs');
          return Number(rows[0].count) === 0;
        });
      await until(isDone, 'all jobs to be done');
    },
    close: () => queue.release(),
  };
}
