import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { onlyFloatInput } from './axis.js';
import { multiply } from './multiply.js';
import { floats, present } from './tensor-access.js';

/** e^x, element by element; infinite above 88.7. x f32[...] -> f32[...]. */
export function exponential(x: Value): Value {
  return x.tracer.call('exponential', [x])[0] as Value;
}

export const exponentialOp: OpDefinition = {
  name: 'exponential',
  infer(inputs) {
    return [{ shape: onlyFloatInput('exponential', inputs).shape, dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    floats(outputs[0] as Tensor).set(floats(present(inputs, 0)).map(Math.exp));
  },
  gradient: ([dy], { outputs: [y] }) => [multiply(dy as Value, y as Value)],
};
