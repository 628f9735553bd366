// SPDX-License-Identifier: Apache-2.0
export async function fetchSales() {
  const response = await fetch(`${process.env.SALES_SERVICE}/sales`);
  return response.json();
}
