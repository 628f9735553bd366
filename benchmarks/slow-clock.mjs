// SPDX-License-Identifier: Apache-2.0
// Loaded ahead of a program that valgrind runs: its clocks go as much slower as it does itself.
import { performance } from 'node:perf_hooks';

const SLOWER = 80;
const now = performance.now.bind(performance);
const timing = performance.nodeTiming;

performance.now = () => now() / SLOWER;
const idleTime = Object.getOwnPropertyDescriptor(timing, 'idleTime').get;
Object.defineProperty(timing, 'idleTime', { get: () => idleTime.call(timing) / SLOWER });
