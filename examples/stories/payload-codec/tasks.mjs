// SPDX-License-Identifier: Apache-2.0
// What is done with an order, in this sequence.
import { setTimeout as sleep } from 'node:timers/promises';

export const reserve = (order) => sleep(20, { ...order, reserved: true });
export const charge = (order) => sleep(40, { ...order, charged: true });
export const ship = (order) => sleep(20, { ...order, shipped: true });
