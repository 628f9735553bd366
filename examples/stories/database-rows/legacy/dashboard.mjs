// SPDX-License-Identifier: Apache-2.0
const PRODUCTS = 400;

/** One query for each product, all of them at once. */
export async function dashboard(query) {
  const ids = Array.from({ length: PRODUCTS }, (_, i) => i + 1);
  const results = await Promise.all(ids.map((id) => query('select name, stock from products where id = $1', [id])));
  return results.flatMap(({ rows }) => rows);
}
