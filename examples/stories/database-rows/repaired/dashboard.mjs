// SPDX-License-Identifier: Apache-2.0
import pLimit from 'p-limit';

const PRODUCTS = 400;
/** Of all requests for it together: the rest of the pool is for the others. */
const gate = pLimit(4);

/** One query for each product, four at a time. */
export async function dashboard(query) {
  const ids = Array.from({ length: PRODUCTS }, (_, i) => i + 1);
  const results = await Promise.all(
    ids.map((id) => gate(() => query('select name, stock from products where id = $1', [id]))),
  );
  return results.flatMap(({ rows }) => rows);
}
