import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';

/**
 * The gradient of `logSoftmax` from its output y: dy - e^y Σ dy over the last axis.
 * y f32[...,V], dy f32[...,V] -> f32[...,V].
 */
export function logSoftmaxGradient(y: Value, dy: Value): Value {
  return y.tracer.call('logSoftmaxGradient', [y, dy])[0] as Value;
}

const bind = inputSignature<'V'>('logSoftmaxGradient', 'y f32[...,V]', 'dy f32[...,V]');

export const logSoftmaxGradientOp: OpDefinition = {
  name: 'logSoftmaxGradient',
  infer(inputs) {
    const { V, rest } = bind(inputs);
    return [{ shape: [...rest, V], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { V } = bind(inputs);
    const [y, dy, out] = [
      floats(present(inputs, 0)),
      floats(present(inputs, 1)),
      floats(outputs[0] as Tensor),
    ];
    for (let start = 0; start < out.length; start += V) {
      let sum = 0;
      for (let i = start; i < start + V; i++) sum += dy[i] as number;
      for (let i = start; i < start + V; i++) out[i] = (dy[i] as number) - Math.exp(y[i] as number) * sum;
    }
  },
  gradient: { because: 'second derivatives are not needed for training' },
};
