// SPDX-License-Identifier: Apache-2.0
/** By the client that everybody has, which waits for nobody. */
export async function stockOf(id, query) {
  const { rows } = await query('select stock from products where id = $1', [id]);
  return rows[0].stock;
}
