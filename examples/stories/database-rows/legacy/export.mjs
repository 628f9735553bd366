// SPDX-License-Identifier: Apache-2.0
export async function exportSales(query) {
  const { rows } = await query('select id, city, amount from sales order by id');
  return toCsv(rows);
}

/** 50,000 rows in one go, with a new formatter for each amount. */
function toCsv(rows) {
  let csv = 'id;city;amount\n';
  for (const { id, city, amount } of rows) {
    csv += `${id};${city};${(amount / 100).toLocaleString('fr-FR', { style: 'currency', currency: 'EUR' })}\n`;
  }
  return csv;
}
