// SPDX-License-Identifier: Apache-2.0
// A report: its data come from a service, are kept, and then it is computed. An async function, as every task.
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { fetchSales } = await import(
  process.env.REPORT === 'as-it-is' ? './sales-client-sync.mjs' : './sales-client-async.mjs'
);
const { render } = await import(process.env.REPORT === 'thread' ? './render-in-thread.mjs' : './render.mjs');

export async function buildReport() {
  const sales = await fetchSales();
  await writeFile(join(tmpdir(), `sales-${process.pid}.json`), JSON.stringify(sales));
  return render(sales);
}
