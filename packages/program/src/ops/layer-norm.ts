import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { epsilonAttribute, type NormOptions } from './norm-options.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';
import { layerNormGradient } from './layer-norm-gradient.js';

/**
 * (x - mean) / sqrt(variance + epsilon) · weight + bias over the last axis, with the biased variance
 * (Ba et al. 2016).
 * x f32[...,D], weight f32[D], bias f32[D] -> f32[...,D].
 */
export function layerNorm(x: Value, weight: Value, bias: Value, options: NormOptions): Value {
  return x.tracer.call('layerNorm', [x, weight, bias], { epsilon: options.epsilon })[0] as Value;
}

const bind = inputSignature<'D'>('layerNorm', 'x f32[...,D]', 'weight f32[D]', 'bias f32[D]');

export const layerNormOp: OpDefinition = {
  name: 'layerNorm',
  recomputed: 'always',
  infer(inputs, attributes) {
    epsilonAttribute('layerNorm', attributes);
    const { D, rest } = bind(inputs);
    return [{ shape: [...rest, D], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const epsilon = epsilonAttribute('layerNorm', attributes);
    const { D } = bind(inputs);
    const [x, weight, bias] = [0, 1, 2].map((index) => floats(present(inputs, index))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const out = floats(outputs[0] as Tensor);
    for (let start = 0; start < out.length; start += D) {
      let sum = 0;
      for (let d = 0; d < D; d++) sum += x[start + d] as number;
      const mean = sum / D;
      let squares = 0;
      for (let d = 0; d < D; d++) squares += ((x[start + d] as number) - mean) ** 2;
      const factor = 1 / Math.sqrt(squares / D + epsilon);
      for (let d = 0; d < D; d++) {
        const normal = ((x[start + d] as number) - mean) * factor;
        out[start + d] = normal * (weight[d] as number) + (bias[d] as number);
      }
    }
  },
  gradient([dy], { inputs, attributes }) {
    const [x, weight] = inputs as readonly [Value, Value];
    const epsilon = epsilonAttribute('layerNorm', attributes);
    const { dx, dweight, dbias } = layerNormGradient(x, weight, dy as Value, { epsilon });
    return [dx, dweight, dbias];
  },
};
