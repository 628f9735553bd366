// SPDX-License-Identifier: Apache-2.0
interface Row {
  readonly kind: string;
  readonly wall: number;
  readonly names: string[];
  readonly isShared: boolean;
  readonly isUnclear: boolean;
  readonly isRight: boolean;
  readonly isFalse: boolean;
  readonly isSingledOut: boolean;
  readonly isApproximate?: boolean;
  readonly blamed?: string[];
  readonly durationMillis?: number;
  readonly errorMillis?: number;
}
export function judge(run: unknown): { rows: Row[]; accused: string[]; ofTheMachine: number };
