import type { InputTensors } from '../op.js';
import type { Attributes } from '../program.js';
import { checkedIndex, indices } from './tensor-access.js';

/** Keys `begin`..`end - 1`; none where end is not above begin. */
export interface KeyRange {
  readonly begin: number;
  readonly end: number;
}

export interface AttentionSides {
  readonly B: number;
  readonly T: number;
  readonly S: number;
}

/**
 * Which keys query `t` of batch element `b` sees: those from firstKey on, and when causal only keys
 * s <= t + S - T.
 * @throws EmuError INVALID_OPTION if an entry of firstKey (input 4, i32[B,T]) is not in 0..S; its row is b·T + t.
 */
export function visibleKeys(
  op: string,
  inputs: InputTensors,
  attributes: Attributes,
  { B, T, S }: AttentionSides,
): (b: number, t: number) => KeyRange {
  const causal = attributes['causal'] === 1;
  const firstKey = inputs[4] ? indices(inputs[4]) : new Int32Array(B * T);
  firstKey.forEach((first, row) => checkedIndex(op, 'firstKey', row, first, S + 1));
  return (b, t) => ({
    begin: firstKey[b * T + t] as number,
    end: causal ? Math.min(S, t + S - T + 1) : S,
  });
}
