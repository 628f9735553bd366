// SPDX-License-Identifier: Apache-2.0
const PORTION = 1000;
const euros = new Intl.NumberFormat('fr-FR', { style: 'currency', currency: 'EUR' });

/** In portions: the loop turns between any two of them, and no result is large. */
export async function exportSales(query) {
  let csv = 'id;city;amount\n';
  for (let last = 0; ; ) {
    const { rows } = await query('select id, city, amount from sales where id > $1 order by id limit $2', [
      last,
      PORTION,
    ]);
    if (rows.length === 0) return csv;
    csv += toCsv(rows);
    last = rows.at(-1).id;
  }
}

function toCsv(rows) {
  let csv = '';
  for (const { id, city, amount } of rows) csv += `${id};${city};${euros.format(amount / 100)}\n`;
  return csv;
}
