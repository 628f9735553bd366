// SPDX-License-Identifier: Apache-2.0
// Measures from outside what an event waits: small TCP pings at moments drawn at random, sent whether or not the last
// one was answered (open loop). Each wait counts from the moment the ping was meant to be sent.
import { once } from 'node:events';
import net from 'node:net';

const now = performance.now.bind(performance);

/**
 * @returns {Promise<{waits: number[], slipMillis: number}>} the waits in milliseconds, sorted; and how late the pinger itself was to send, its 99th percentile.
 */
export async function ping(port, seconds, perSecond = 250) {
  const socket = net.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.setNoDelay(true);
  const count = Math.round(seconds * perSecond);
  const start = now() + 20;
  // Uniformly arriving events: one at a random moment of each piece of the time.
  const due = Float64Array.from({ length: count }, (_, i) => start + (i + Math.random()) * (1000 / perSecond));
  const slips = [];
  const waits = [];
  const message = Buffer.alloc(4);
  let rest = Buffer.alloc(0);
  const allAnswered = new Promise((resolve) => {
    socket.on('data', (data) => {
      const time = now();
      rest = Buffer.concat([rest, data]);
      for (; rest.length >= 4; rest = rest.subarray(4)) waits.push(time - sentAt[rest.readUInt32BE()]);
      if (waits.length === count) resolve();
    });
  });
  const sentAt = new Float64Array(count);
  for (let i = 0; i < count; ) {
    const left = due[i] - now();
    if (left > 0) {
      await new Promise((resolve) => setTimeout(resolve, left));
      continue;
    }
    slips.push(-left);
    // A timer of this process knows milliseconds; the moment drawn is random, so the moment sent is as well.
    sentAt[i] = -left < 3 ? now() : due[i];
    message.writeUInt32BE(i);
    socket.write(Buffer.from(message));
    i++;
  }
  await allAnswered;
  socket.destroy();
  waits.sort((a, b) => a - b);
  slips.sort((a, b) => a - b);
  return { waits, slipMillis: quantile(slips, 0.99) };
}

export function quantile(sorted, q) {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)];
}
