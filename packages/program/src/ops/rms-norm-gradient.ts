import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { epsilonAttribute, type NormOptions } from './norm-options.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';

/**
 * The gradients of `rmsNorm`. With f = 1 / sqrt(mean(x²) + epsilon) and n = x f:
 * dx = f (weight dy - n mean(weight dy n)), dweight = Σ over rows of dy n.
 * x f32[...,D], weight f32[D], dy f32[...,D] -> dx f32[...,D], dweight f32[D].
 */
export function rmsNormGradient(
  x: Value,
  weight: Value,
  dy: Value,
  options: NormOptions,
): { readonly dx: Value; readonly dweight: Value } {
  const { epsilon } = options;
  const [dx, dweight] = x.tracer.call('rmsNormGradient', [x, weight, dy], { epsilon }) as [Value, Value];
  return { dx, dweight };
}

const bind = inputSignature<'D'>('rmsNormGradient', 'x f32[...,D]', 'weight f32[D]', 'dy f32[...,D]');

export const rmsNormGradientOp: OpDefinition = {
  name: 'rmsNormGradient',
  infer(inputs, attributes) {
    epsilonAttribute('rmsNormGradient', attributes);
    const { D, rest } = bind(inputs);
    return [
      { shape: [...rest, D], dtype: 'f32' },
      { shape: [D], dtype: 'f32' },
    ];
  },
  reference(inputs, attributes, outputs) {
    const epsilon = epsilonAttribute('rmsNormGradient', attributes);
    const { D } = bind(inputs);
    const [x, weight, dy] = [0, 1, 2].map((index) => floats(present(inputs, index))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const [dx, dweight] = outputs.map((output: Tensor) => floats(output)) as [Float32Array, Float32Array];
    const weightSums = new Float64Array(D);
    for (let start = 0; start < x.length; start += D) {
      let squares = 0;
      for (let d = 0; d < D; d++) squares += (x[start + d] as number) ** 2;
      const factor = 1 / Math.sqrt(squares / D + epsilon);
      const normal = (d: number): number => (x[start + d] as number) * factor;
      const slope = (d: number): number => (weight[d] as number) * (dy[start + d] as number);
      let along = 0; // mean(weight dy n)
      for (let d = 0; d < D; d++) along += (slope(d) * normal(d)) / D;
      for (let d = 0; d < D; d++) {
        dx[start + d] = factor * (slope(d) - normal(d) * along);
        weightSums[d] = (weightSums[d] as number) + (dy[start + d] as number) * normal(d);
      }
    }
    dweight.set(weightSums);
  },
  gradient: { because: 'second derivatives are not needed for training' },
};
