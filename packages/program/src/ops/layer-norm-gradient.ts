import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { epsilonAttribute, type NormOptions } from './norm-options.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';

/** Gradients of the inputs of a norm. */
export interface NormGradients {
  readonly dx: Value;
  readonly dweight: Value;
  readonly dbias: Value;
}

/**
 * The gradients of `layerNorm`. With f = 1 / sqrt(variance + epsilon) and n = (x - mean) f:
 * dx = f (weight dy - mean(weight dy) - n mean(weight dy n)), dweight = Σ over rows of dy n, dbias = Σ over rows of dy.
 * x f32[...,D], weight f32[D], dy f32[...,D] -> dx f32[...,D], dweight f32[D], dbias f32[D].
 */
export function layerNormGradient(x: Value, weight: Value, dy: Value, options: NormOptions): NormGradients {
  const { epsilon } = options;
  const [dx, dweight, dbias] = x.tracer.call('layerNormGradient', [x, weight, dy], { epsilon }) as [
    Value,
    Value,
    Value,
  ];
  return { dx, dweight, dbias };
}

const bind = inputSignature<'D'>('layerNormGradient', 'x f32[...,D]', 'weight f32[D]', 'dy f32[...,D]');

export const layerNormGradientOp: OpDefinition = {
  name: 'layerNormGradient',
  infer(inputs, attributes) {
    epsilonAttribute('layerNormGradient', attributes);
    const { D, rest } = bind(inputs);
    return [
      { shape: [...rest, D], dtype: 'f32' },
      { shape: [D], dtype: 'f32' },
      { shape: [D], dtype: 'f32' },
    ];
  },
  reference(inputs, attributes, outputs) {
    const epsilon = epsilonAttribute('layerNormGradient', attributes);
    const { D } = bind(inputs);
    const [x, weight, dy] = [0, 1, 2].map((index) => floats(present(inputs, index))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const [dx, dweight, dbias] = outputs.map((output: Tensor) => floats(output)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const [weightSums, biasSums] = [new Float64Array(D), new Float64Array(D)];
    for (let start = 0; start < x.length; start += D) {
      const average = (term: (d: number) => number): number => {
        let sum = 0;
        for (let d = 0; d < D; d++) sum += term(d);
        return sum / D;
      };
      const mean = average((d) => x[start + d] as number);
      const factor = 1 / Math.sqrt(average((d) => ((x[start + d] as number) - mean) ** 2) + epsilon);
      const normal = (d: number): number => ((x[start + d] as number) - mean) * factor;
      const slope = (d: number): number => (weight[d] as number) * (dy[start + d] as number);
      const level = average(slope);
      const along = average((d) => slope(d) * normal(d));
      for (let d = 0; d < D; d++) {
        dx[start + d] = factor * (slope(d) - level - normal(d) * along);
        weightSums[d] = (weightSums[d] as number) + (dy[start + d] as number) * normal(d);
        biasSums[d] = (biasSums[d] as number) + (dy[start + d] as number);
      }
    }
    dweight.set(weightSums);
    dbias.set(biasSums);
  },
  gradient: { because: 'second derivatives are not needed for training' },
};
