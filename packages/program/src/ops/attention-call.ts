// What attention and its gradient have in common: options, sides and checks.
import { integerAttribute, numberAttribute, refuseAttribute, refuseShape, type InputTypes } from '../op.js';
import type { Attributes } from '../program.js';
import type { Value } from '../trace.js';
import type { BoundSides } from './signature.js';

export interface AttentionOptions {
  /** Factor on q·k, usually 1/sqrt(K). */
  readonly scale: number;
  /** Query t sees keys s <= t + S - T, so the last query sees every key. */
  readonly causal?: boolean;
  /** f32[H,T,S], added to the scores of every batch element; T5's relative positions. */
  readonly bias?: Value | null;
  /** i32[B,T]: query t sees no key before firstKey[b,t], so that sequences can be packed into one. In 0..S. */
  readonly firstKey?: Value | null;
}

export type AttentionSide = 'B' | 'T' | 'S' | 'H' | 'G' | 'K';

/** The sides of a call of attention or its gradient, with what the types alone do not say checked. */
export function checkedAttention(
  op: string,
  attributes: Attributes,
  bindInputs: (inputs: InputTypes) => BoundSides<AttentionSide>,
  inputs: InputTypes,
): BoundSides<AttentionSide> {
  numberAttribute(op, attributes, 'scale');
  const causal = integerAttribute(op, attributes, 'causal', 0);
  if (causal > 1) refuseAttribute(op, 'causal', causal, '0 or 1');
  const sides = bindInputs(inputs);
  const { H, G } = sides;
  if (G === 0 || H % G !== 0)
    refuseShape(op, `${H} query heads are not a multiple of ${G} key heads`, inputs);
  return sides;
}
