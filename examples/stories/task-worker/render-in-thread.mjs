// SPDX-License-Identifier: Apache-2.0
import { Piscina } from 'piscina';

const threads = new Piscina({
  filename: new URL('./render-task.mjs', import.meta.url).href,
  minThreads: 1,
  maxThreads: 1,
  execArgv: [],
});
process.once('disconnect', () => threads.destroy());

export function render(sales) {
  return threads.run(sales);
}
