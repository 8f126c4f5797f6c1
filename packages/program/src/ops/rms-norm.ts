import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { epsilonAttribute, type NormOptions } from './norm-options.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';
import { rmsNormGradient } from './rms-norm-gradient.js';

/**
 * x / sqrt(mean(x²) + epsilon) · weight over the last axis (Zhang and Sennrich 2019).
 * x f32[...,D], weight f32[D] -> f32[...,D].
 */
export function rmsNorm(x: Value, weight: Value, options: NormOptions): Value {
  return x.tracer.call('rmsNorm', [x, weight], { epsilon: options.epsilon })[0] as Value;
}

const bind = inputSignature<'D'>('rmsNorm', 'x f32[...,D]', 'weight f32[D]');

export const rmsNormOp: OpDefinition = {
  name: 'rmsNorm',
  recomputed: 'always',
  infer(inputs, attributes) {
    epsilonAttribute('rmsNorm', attributes);
    const { D, rest } = bind(inputs);
    return [{ shape: [...rest, D], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const epsilon = epsilonAttribute('rmsNorm', attributes);
    const { D } = bind(inputs);
    const [x, weight] = [floats(present(inputs, 0)), floats(present(inputs, 1))];
    const out = floats(outputs[0] as Tensor);
    for (let start = 0; start < out.length; start += D) {
      let squares = 0;
      for (let d = 0; d < D; d++) squares += (x[start + d] as number) ** 2;
      const factor = 1 / Math.sqrt(squares / D + epsilon);
      for (let d = 0; d < D; d++) out[start + d] = (x[start + d] as number) * factor * (weight[d] as number);
    }
  },
  gradient([dy], { inputs, attributes }) {
    const [x, weight] = inputs as readonly [Value, Value];
    const epsilon = epsilonAttribute('rmsNorm', attributes);
    const { dx, dweight } = rmsNormGradient(x, weight, dy as Value, { epsilon });
    return [dx, dweight];
  },
};
