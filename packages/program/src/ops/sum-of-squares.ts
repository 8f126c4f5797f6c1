import type { OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { onlyFloatInput } from './axis.js';
import { multiply } from './multiply.js';
import { reshape } from './reshape.js';
import { scale } from './scale.js';
import { floats, present } from './tensor-access.js';

/** The sum of the squares of all elements, what the norm of a gradient is made of. x f32[...] -> f32[1]. */
export function sumOfSquares(x: Value): Value {
  return x.tracer.call('sumOfSquares', [x])[0] as Value;
}

export const sumOfSquaresOp: OpDefinition = {
  name: 'sumOfSquares',
  infer(inputs) {
    onlyFloatInput('sumOfSquares', inputs);
    return [{ shape: [1], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    let sum = 0;
    for (const value of floats(present(inputs, 0))) sum += value * value;
    floats(outputs[0] as Tensor)[0] = sum;
  },
  gradient: ([dy], { inputs }) => {
    const [x] = inputs as readonly [Value];
    // A scalar has no axis that [1] could broadcast to.
    const slope = x.shape.length === 0 ? reshape(dy as Value, []) : (dy as Value);
    return [multiply(scale(x, { factor: 2 }), slope)];
  },
};
