// SPDX-License-Identifier: Apache-2.0
export function explicitBucket(histogram: unknown, q: number): [low: number, high: number];
export function bucketsAgree(low: number, high: number, seen: number): boolean;
export function exponentialQuantile(histogram: unknown, q: number): number;
