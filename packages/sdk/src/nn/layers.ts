import { layerNorm, linear, reshape, slice, type LinearOptions, type Value } from '@emu/program';

import type { LinearParameters, NormParameters } from './parameters.js';

/** x Wᵀ + b with a record's weight and bias: [...,I] -> [...,O]. Activation and residual as in `linear`. */
export function project(
  x: Value,
  p: LinearParameters,
  options: Pick<LinearOptions, 'activation' | 'residual'> = {},
): Value {
  return linear(x, p.weight, { bias: p.bias, ...options });
}

/** LayerNorm with a record's weight and bias: [...,D] -> [...,D]. */
export function normalize(x: Value, p: NormParameters, epsilon: number): Value {
  return layerNorm(x, p.weight, p.bias, { epsilon });
}

/** [B,T,H*K] -> [B,T,H,K]; a view. */
export function splitHeads(x: Value, heads: number): Value {
  return reshape(x, [...x.shape.slice(0, -1), heads, x.side(-1) / heads]);
}

/** [B,T,H,K] -> [B,T,H*K]; a view. */
export function mergeHeads(x: Value): Value {
  return reshape(x, [...x.shape.slice(0, -2), x.side(-2) * x.side(-1)]);
}

/** Cuts the last axis into `count` equal parts: [...,count*D] -> count times [...,D]. */
export function splitLast(x: Value, count: number): readonly Value[] {
  const length = x.side(-1) / count;
  return Array.from({ length: count }, (_, part) =>
    slice(x, { axis: x.shape.length - 1, start: part * length, length }),
  );
}
