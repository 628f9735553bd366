// SPDX-License-Identifier: Apache-2.0
/** An asynchronous client. */
export async function fetchKey(url) {
  const response = await fetch(url);
  return response.text();
}
