import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { logSumExp } from './softmax-rows.js';
import { floats, present } from './tensor-access.js';
import { logSoftmaxGradient } from './log-softmax-gradient.js';

/** x - log(sum(exp(x))) over the last axis. x f32[...,V] -> f32[...,V]. */
export function logSoftmax(x: Value): Value {
  return x.tracer.call('logSoftmax', [x])[0] as Value;
}

const bind = inputSignature<'V'>('logSoftmax', 'x f32[...,V]');

export const logSoftmaxOp: OpDefinition = {
  name: 'logSoftmax',
  infer(inputs) {
    const { V, rest } = bind(inputs);
    return [{ shape: [...rest, V], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { V } = bind(inputs);
    const [x, out] = [floats(present(inputs, 0)), floats(outputs[0] as Tensor)];
    for (let start = 0; start < out.length; start += V) {
      const { largest, excess } = logSumExp(x, start, V);
      for (let i = start; i < start + V; i++) out[i] = (x[i] as number) - largest - excess;
    }
  },
  gradient: ([dy], { outputs }) => [logSoftmaxGradient(outputs[0] as Value, dy as Value)],
};
